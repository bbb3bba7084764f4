"""The tree of messages: which branch is shown, and the versions beside each message."""

from uuid import UUID, uuid4

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chat.generations import turns
from chat.generations.accept import accept
from chat.generations.asks import Ask
from chat.generations.history import newest_end
from chat.models import Conversation, Message
from chat.models.ids import new_id
from chat.models.kept import used_now
from chat.views.branches import add_pagers, branch_of
from tests.views.kept import KeptTestCase, path_of


class TreeTestCase(KeptTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = self.add("Tea")
        self.old = self.add_turn(self.conversation, "Which?", "Old")
        self.below = self.add_turn(self.conversation, "More", "Below the old", parent=self.old)
        self.new = self.add_answer(self.conversation, self.old.parent, "New")
        self.edited = self.add_turn(self.conversation, "Which one?", "Edited")
        self.client.force_login(self.ada)

    def shown(self, **options):
        self.conversation.refresh_from_db()
        messages, _ = branch_of(self.conversation, limit=100, **options)
        add_pagers(messages)
        return messages

    def texts(self):
        return [message.text for message in self.shown()]

    def show(self, message, **options):
        return self.call("PATCH", path_of(self.conversation), {"leaf": str(message)}, **options)


class ShownBranchTests(TreeTestCase):
    def test_the_newest_until_another_is_chosen(self):
        assert self.texts() == ["Which one?", "Edited"]
        assert self.call("GET", path_of(self.conversation))["leaf"] is None
        answer = self.show(self.old.parent_id)
        assert answer["leaf"] == str(self.new.pk)
        assert self.texts() == ["Which?", "New"]
        assert self.show(self.old.pk)["leaf"] == str(self.below.pk)
        assert self.texts() == ["Which?", "Old", "More", "Below the old"]

    def test_other_tabs_are_told_and_the_list_keeps_its_order(self):
        before = self.conversation.updated_at
        self.show(self.old.pk)
        assert self.news[-1] == {
            "id": str(self.conversation.pk),
            "change": "updated",
            "leaf": str(self.below.pk),
        }
        self.conversation.refresh_from_db()
        assert self.conversation.updated_at == before

    def test_only_messages_of_this_conversation_can_be_shown(self):
        elsewhere = self.add_turn(self.add("Other"), "q", "a")
        self.show(elsewhere.pk, status=404)
        self.show(uuid4(), status=404)
        self.show(self.old.pk, user=self.bob, status=404)
        self.show("nothing", status=400)

    def test_the_next_prompt_follows_what_is_shown_and_is_shown_itself(self):
        self.show(self.old.pk)
        ask = Ask(
            user=self.ada, key="k", default_model="demo", text="Go on",
            conversation_id=self.conversation.pk,
        )  # fmt: skip
        with transaction.atomic():
            accepted = accept(ask)
        assert accepted.prompt.parent_id == self.below.pk
        self.conversation.refresh_from_db()
        assert self.conversation.leaf_id is None
        assert self.texts() == ["Which?", "Old", "More", "Below the old", "Go on", ""]

    def test_a_prompt_taken_out_of_the_queue_is_neither_shown_nor_counted(self):
        waiting = self.add_turn(self.conversation, "Wait", "", parent=self.old, status="queued")
        turns.stop_queued(waiting.generation.pk)
        assert self.show(self.old.pk)["leaf"] == str(self.below.pk)
        assert not hasattr(self.shown()[3], "pager")
        assert newest_end(Conversation.objects.get(pk=self.conversation.pk)) == self.below

    def test_what_is_shown_may_be_deleted(self):
        self.show(self.old.pk)
        self.below.delete()
        assert self.texts() == ["Which one?", "Edited"]

    def test_share_and_export_have_the_branch_that_is_shown(self):
        self.show(self.old.pk)
        text = self.export(path_of(self.conversation, "export/"), form="markdown")
        assert "Below the old" in text
        assert "Edited" not in text
        self.call("POST", path_of(self.conversation, "shares/"), {}, status=201)
        assert self.conversation.shares.get().leaf_id == self.below.pk


class PagerTests(TreeTestCase):
    def test_of_prompts_and_of_answers(self):
        self.show(self.old.pk)
        prompt, answer, *rest = [getattr(message, "pager", None) for message in self.shown()]
        assert (prompt.number, prompt.count) == (1, 2)
        assert (prompt.previous, prompt.next) == (None, self.edited.parent_id)
        assert (answer.number, answer.count) == (1, 2)
        assert (answer.previous, answer.next) == (None, self.new.pk)
        assert rest == [None, None]

    def test_without_a_script_a_form_shows_another_version(self):
        page = f"/c/{self.conversation.pk}/"
        html = self.client.get(page).content.decode()
        assert "Version 2 of 2" in html
        assert f'value="{self.old.parent_id}" data-step="previous"' in html
        address = f"/m/{self.edited.parent_id}/show/"
        answer = self.client.post(address, {"leaf": str(self.old.parent_id)})
        assert answer["Location"] == f"{page}#m-{self.old.parent_id}"
        assert "Version 2 of 2" in self.client.get(page).content.decode()
        assert self.texts() == ["Which?", "New"]
        for leaf in ("", "x", str(uuid4())):
            assert self.client.post(address, {"leaf": leaf}).status_code == 404
        self.client.force_login(self.bob)
        assert self.client.post(address, {"leaf": str(self.old.pk)}).status_code == 404

    def test_a_message_by_itself_has_it_too(self):
        html = self.client.get(f"/m/{self.new.pk}/").content.decode()
        assert "Version 2 of 2" in html


class LongConversationTests(KeptTestCase):
    def fill(self, count):
        conversation = self.add("Long")
        parent, rows = None, []
        for number in range(count):
            role = "assistant" if number % 2 else "user"
            rows.append(
                Message(
                    id=new_id(), conversation=conversation, parent_id=parent, role=role, text="x"
                )
            )
            parent = rows[-1].pk
        Message.objects.bulk_create(rows)
        return conversation, rows

    def opened(self, conversation):
        """Return the queries of opening, and how many rows the database gave for them."""
        with CaptureQueriesContext(
            connection,
        ) as queries:
            messages, _ = branch_of(conversation, limit=100)
            add_pagers(messages)
        assert len(messages) == 100
        return [query["sql"] for query in queries]

    def test_opening_asks_for_as_much_whatever_the_length(self):
        short, _ = self.fill(150)
        long, rows = self.fill(10_000)
        assert len(self.opened(long)) == len(self.opened(short)) <= 4
        ids: list[UUID] = long.messages.branch(limit=101)
        assert ids == [row.pk for row in rows[:-102:-1]]
        assert long.messages.branch() == [row.pk for row in rows[::-1]]
        body = self.call("PATCH", path_of(long), {"leaf": str(rows[0].pk)})
        assert body["leaf"] == str(rows[-1].pk)
        assert used_now(long)["leaf"] is None
