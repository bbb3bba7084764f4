"""`manage.py prune`: what is over and what the rules take, said first, done in the end."""

import json
from datetime import timedelta
from io import StringIO
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import TransactionTestCase
from django.utils import timezone

from chat.generations import retention
from chat.models import Attachment, Conversation, Generation, RetentionRule, Spending, StoredEvent
from tests.generations.test_retention import make_old
from tests.servers import DaphneSite, ServerFailed
from tests.test_admin_retention import all_rows


def prune(*args):
    out = StringIO()
    call_command("prune", *args, stdout=out)
    return out.getvalue()


def report(*args):
    return json.loads(prune("--json", *args))


class PruneTests(TransactionTestCase):
    def setUp(self):
        self.ada = get_user_model().objects.create_user("ada")

    def make_over(self):
        hour_ago = timezone.now() - timedelta(hours=1)
        make_old(self.ada, "deleted", deleted_at=hour_ago)
        make_old(self.ada, "temporary", temporary=True, deleted_at=hour_ago)
        kept = make_old(self.ada, "kept", age=timedelta(days=1))
        generation = Generation.objects.get(conversation=kept)
        generation.ended_at = hour_ago
        generation.save()
        Spending.objects.create(generation=generation, user=self.ada, model="demo")
        Attachment.objects.create(
            owner=self.ada,
            name="lost.txt",
            kind="text",
            media_type="text/plain",
            size=1,
            content=b"x",
            sha256="0" * 64,
            created_at=timezone.now() - timedelta(days=2),
        )

    def rule(self, **fields):
        return RetentionRule.objects.create(**{"name": "Old", "days": 30, "is_on": True} | fields)

    def test_a_dry_run_says_all_and_changes_nothing(self):
        self.make_over()
        make_old(self.ada, "old")
        self.rule()
        before = all_rows()
        said = prune("--dry-run")
        self.assertEqual(all_rows(), before)
        for line in (
            "Would be deleted:",
            "2 deleted or temporary conversations",
            "1 files that were not sent",
            "1 expired event logs",
            "1 estimates of ended answers",
            "rule “Old”: 1 conversations, 2 messages, 1 files, 1 steps, 5 bytes of files",
        ):
            self.assertIn(line, said)

    def test_what_was_announced_is_done_and_nothing_is_left(self):
        self.make_over()
        make_old(self.ada, "old")
        self.rule()
        announced = report("--dry-run")
        done = report()
        self.assertEqual(done, announced | {"dry_run": False})
        self.assertEqual(Conversation.objects.get().title, "kept")
        self.assertFalse(Spending.objects.exists() or StoredEvent.objects.exists())
        self.assertEqual(Attachment.objects.get().name, "notes.txt")
        again = report()
        self.assertEqual(set(again["over"].values()), {0})
        self.assertEqual(again["rules"][0]["conversations"], 0)

    def test_a_named_rule_is_run_alone_and_even_if_it_is_off(self):
        self.make_over()
        make_old(self.ada, "old")
        self.rule(is_on=False)
        self.rule(name="Other", days=1)
        self.assertIn("1 conversations", prune("--rule", "Old"))
        titles = Conversation.objects.values_list("title", flat=True)
        self.assertEqual(sorted(titles), ["deleted", "kept", "temporary"])

    def test_a_rule_that_is_off_does_nothing(self):
        make_old(self.ada, "old")
        self.rule(is_on=False)
        self.assertEqual(report()["rules"], [])
        self.assertTrue(Conversation.objects.exists())

    def test_an_unknown_rule_is_refused_with_those_there_are(self):
        with self.assertRaisesMessage(CommandError, "make one in the admin"):
            prune("--rule", "Nope")
        self.rule()
        make_old(self.ada, "old")
        with self.assertRaisesMessage(CommandError, "no rule 'Nope'. There are: 'Old'."):
            prune("--rule", "Old", "--rule", "Nope")
        self.assertTrue(Conversation.objects.exists())

    def test_a_rule_that_is_being_run_is_named_and_fails_the_command(self):
        rule = self.rule()
        RetentionRule.objects.hold(rule.pk)
        with self.assertRaisesMessage(CommandError, "Not run to the end: Old."):
            prune()

    def test_what_broke_in_the_middle_goes_on_the_next_time(self):
        for number in range(4):
            make_old(self.ada, str(number))
        self.rule()
        with (
            mock.patch.object(retention, "reach", side_effect=[None, OSError]),
            self.assertRaises(OSError),
        ):
            prune()
        self.assertEqual(Conversation.objects.count(), 2)
        self.assertEqual(report()["rules"][0]["conversations"], 2)


FILL = """
from tests.generations.test_retention import make_old
from django.contrib.auth import get_user_model
from chat.models import RetentionRule
ada = get_user_model().objects.create_user("ada")
for number in range(5): make_old(ada, str(number))
RetentionRule.objects.create(name="Old", days=30, is_on=True)
"""
FREE = "from chat.models import RetentionRule; RetentionRule.objects.update(held_until=None)"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="it has a database of its own")
def test_a_command_that_is_killed_leaves_whole_conversations_and_the_next_goes_on():
    with DaphneSite() as site:
        site.stop()
        site.run(FILL)
        site._extra["CHAT_FAILPOINT"] = "during-retention:2"
        with pytest.raises(ServerFailed):
            site.manage("prune")
        del site._extra["CHAT_FAILPOINT"]
        assert json.loads(site.manage("prune", "--dry-run", "--json"))["rules"][0] == {
            "rule": "Old",
            "conversations": 3,
            "messages": 6,
            "files": 3,
            "bytes": 15,
            "steps": 3,
        }
        with pytest.raises(ServerFailed, match="by another process"):
            site.manage("prune")  # Nobody knows yet that it died: the hold is over in minutes.
        site.run(FREE)
        assert "rule “Old”: 3 conversations" in site.manage("prune")
