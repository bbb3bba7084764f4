"""The admin of retention: a dry run shows and changes nothing, a run is confirmed and noted."""

from unittest import mock

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db import connection
from django.test import TransactionTestCase
from django.urls import reverse

from chat.admin import retention
from chat.models import Conversation, RetentionRule
from tests.generations.test_retention import make_old
from tests.test_admin import Staff, people, url

LEFT_OUT = {"django_session"}  # Looking at a page may renew it.


def all_rows():
    """Return what all tables hold."""
    found = {}
    with connection.cursor() as cursor:
        for table in set(connection.introspection.table_names(cursor)) - LEFT_OUT:
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found[table] = sorted(map(str, cursor.fetchall()))
    return found


class RetentionAdminTests(Staff, TransactionTestCase):
    def setUp(self):
        self.admin, self.owner, self.conversation = people()
        self.old = make_old(self.owner, "Old looms")
        self.rule = RetentionRule.objects.create(name="Yearly", days=30)
        self.page = reverse("admin:chat_retentionrule_dry_run", args=[self.rule.pk])

    def confirm(self, **fields):
        data = {"terms": self.rule.terms, "sure": "on"} | fields
        return self.client.post(self.page, data, follow=True)

    def test_a_dry_run_says_what_would_go_and_changes_nothing(self):
        self.sign_in()
        RetentionRule.objects.create(name="Files", days=20, takes="files", is_on=True)
        before = all_rows()
        for page in (self.page, reverse("admin:chat_retentionrule_dry_runs")):
            shown = self.client.get(page)
            self.assertContains(shown, "Old looms")
            self.assertContains(shown, "<td>1</td><td>2</td><td>1</td>")
            self.assertContains(shown, "Of 1 user<")
            self.assertContains(shown, '<th scope="row">ada</th>')
        self.assertContains(shown, "Files")
        self.assertContains(self.client.get(url(RetentionRule)), self.page)
        self.assertEqual(all_rows(), before)

    def test_a_confirmed_run_deletes_and_is_noted(self):
        self.sign_in()
        shown = self.confirm()
        self.assertContains(shown, "Run: 1 conversations affected.")
        self.assertContains(shown, "It would delete nothing.")
        self.assertEqual(Conversation.objects.get(), self.conversation)
        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.object_repr), (self.admin, "Yearly"))
        self.assertEqual(entry.change_message, "Run: 1 conversations affected.")
        change = self.client.get(url(RetentionRule, "change", self.rule.pk))
        self.assertContains(change, "conversations: 1, messages: 2, files: 1, steps: 1")

    def test_what_is_not_confirmed_or_was_changed_deletes_nothing(self):
        self.sign_in()
        self.assertContains(self.confirm(sure=""), "confirm that it is to be")
        self.assertContains(self.confirm(terms="other"), "was changed meanwhile")
        self.assertEqual(Conversation.objects.count(), 2)
        RetentionRule.objects.hold(self.rule.pk)
        self.assertContains(self.confirm(), "by another process")
        self.assertFalse(LogEntry.objects.exists())

    def test_what_takes_too_long_is_to_be_run_again(self):
        self.sign_in()
        with mock.patch.object(retention, "RUN_SECONDS", 0):
            self.assertContains(self.confirm(), "run it again")

    def test_who_may_not_delete_conversations_looks_only(self):
        self.login_staff("view_retentionrule", "change_retentionrule")
        shown = self.client.get(self.page)
        self.assertNotContains(shown, "Run now")
        self.assertNotContains(shown, "Old looms")
        self.assertEqual(self.confirm().status_code, 403)
        self.assertEqual(Conversation.objects.count(), 2)

    def test_strangers_see_nothing(self):
        self.login_staff("view_conversation")
        self.assertEqual(self.client.get(self.page).status_code, 403)
        self.client.force_login(self.owner)
        self.assertEqual(self.client.get(self.page).status_code, 302)

    def test_a_rule_is_for_everybody_or_for_groups(self):
        self.sign_in()
        group = Group.objects.create(name="Weavers")
        data = {"name": "New", "takes": "all", "days": 10, "scope": "groups"}
        page = url(RetentionRule, "add")
        self.assertContains(self.client.post(page, data), "Say which groups.")
        both = data | {"scope": "all", "groups": [group.pk]}
        self.assertContains(self.client.post(page, both), "leave it empty")
        self.assertContains(
            self.client.post(page, data | {"days": 0}), "greater than or equal to 1"
        )
        self.client.post(page, data | {"groups": [group.pk]})
        made = RetentionRule.objects.get(name="New")
        self.assertEqual((list(made.groups.all()), made.is_on), ([group], False))
