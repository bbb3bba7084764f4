from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat.models import Conversation, Message
from tests.test_admin import HOSTILE, AdminCase, Role, make_turn, url


class TranscriptTests(AdminCase):
    def page(self, **query):
        return self.client.get(url(Conversation, "change", self.conversation.pk), query)

    def test_answers_are_rendered_and_prompts_are_as_they_were_typed(self):
        make_turn(self.conversation, text="**as typed**", answer="**bold** and `code`")
        page = self.page()
        self.assertContains(page, "<strong>bold</strong>")
        self.assertContains(page, "**as typed**")

    def test_hostile_answers_are_rendered_harmless(self):
        make_turn(self.conversation, answer=f"{HOSTILE}\n\n[x](javascript:alert(1))")
        for forbidden in ("<script>alert", "<img src=x", 'href="javascript', " style="):
            self.assertNotContains(self.page(), forbidden)

    def test_versions_and_branches_are_told(self):
        first = make_turn(self.conversation, answer="one").message
        again = Message.objects.create(
            conversation=self.conversation, parent=first.parent, role=Role.ASSISTANT, text="two"
        )
        page = self.page()
        self.assertContains(page, "version 1 of 2")
        self.assertContains(page, "version 2 of 2")
        self.assertContains(page, "another branch, after this message", 1)
        self.assertContains(page, f'id="m-{again.pk}"')
        make_turn(self.conversation, text="edited")
        self.assertContains(self.page(), "another beginning", 1)

    def test_a_long_conversation_opens_in_pages_with_the_same_queries(self):
        make_turn(self.conversation)
        self.page()  # What is looked up once.
        with CaptureQueriesContext(connection) as few:
            self.page()
        parent = None
        rows = []
        for number in range(10_000):
            row = Message(
                conversation=self.conversation, parent=parent, role=Role.USER, text=f"nr {number}."
            )
            rows.append(row)
            parent = row
        Message.objects.bulk_create(rows, batch_size=500)
        with CaptureQueriesContext(connection) as many:
            page = self.page()
        self.assertEqual(len(many), len(few))
        self.assertContains(page, '<li id="m-', 100)
        self.assertContains(page, "nr 9999.")
        earlier = self.page(before=rows[9900].pk)
        self.assertContains(earlier, "nr 9899.")
        self.assertContains(earlier, "nr 9800.")
        self.assertNotContains(earlier, "nr 9900.")
        self.assertContains(earlier, "The newest messages")
        self.assertContains(self.page(before="x"), "nr 9999.")

    def test_looking_at_somebody_elses_messages_leaves_an_audit(self):
        self.page()
        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.object_id), (self.admin, str(self.conversation.pk)))
        self.assertEqual(entry.get_change_message(), "Messages viewed.")
        mine = Conversation.objects.create(owner=self.admin)
        self.client.get(url(Conversation, "change", mine.pk))
        self.assertEqual(LogEntry.objects.count(), 1)

    def test_who_may_not_see_messages_leaves_none_and_finds_none(self):
        make_turn(self.conversation, text="difference")
        self.assertContains(self.client.get(url(Conversation), {"q": "difference"}), "Engines")
        self.login_staff("view_conversation")
        self.page()
        self.assertFalse(LogEntry.objects.exists())
        self.assertNotContains(self.client.get(url(Conversation), {"q": "difference"}), "Engines")
