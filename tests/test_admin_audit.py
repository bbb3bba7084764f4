from django.contrib.admin.models import LogEntry
from django.urls import reverse

from chat.models import Usage
from tests.test_admin import HOSTILE, AdminCase, make_turn

LIST = reverse("admin:admin_logentry_changelist")


class AuditTests(AdminCase):
    def test_looking_at_somebody_elses_trace_is_noted_once_an_hour(self):
        generation = make_turn(self.conversation)
        page = reverse("chat:trace", args=[generation.pk])
        for _ in range(2):
            self.assertEqual(self.client.get(page).status_code, 200)
        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.object_id), (self.admin, str(generation.pk)))
        self.assertEqual(entry.change_message, "Trace viewed.")
        self.client.force_login(self.owner)
        self.client.get(page)
        self.assertEqual(LogEntry.objects.count(), 1)

    def test_taking_the_usage_out_is_noted(self):
        address = reverse("admin:chat_usage_csv") + "?days=7"
        self.assertEqual(self.client.get(address).status_code, 405)
        self.client.post(address)
        entry = LogEntry.objects.get()
        self.assertEqual(entry.content_type.model_class(), Usage)
        self.assertEqual(entry.change_message, "Exported as CSV: 7 days.")

    def entry(self, **fields):
        return LogEntry.objects.create(
            user=self.admin, object_repr=HOSTILE, action_flag=2, change_message=HOSTILE, **fields
        )

    def test_the_log_is_listed_searched_and_escaped(self):
        entry = self.entry()
        for page in (
            LIST,
            f"{LIST}?q=root",
            reverse("admin:admin_logentry_change", args=[entry.pk]),
        ):
            answer = self.client.get(page)
            self.assertContains(answer, "&lt;script&gt;")
            self.assertNotContains(answer, "<script>alert")
        self.assertNotContains(self.client.get(LIST, {"q": "nobody"}), "&lt;script&gt;")

    def test_nobody_changes_or_deletes_what_was_done(self):
        entry = self.entry()
        for name in ("change", "delete"):
            page = reverse(f"admin:admin_logentry_{name}", args=[entry.pk])
            self.assertEqual(self.client.post(page, {"post": "yes"}).status_code, 403)
        self.assertEqual(self.client.get(reverse("admin:admin_logentry_add")).status_code, 403)
        self.assertTrue(LogEntry.objects.filter(pk=entry.pk).exists())

    def test_it_takes_the_permission(self):
        self.login_staff("view_generation")
        self.assertEqual(self.client.get(LIST).status_code, 403)
