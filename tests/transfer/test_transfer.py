"""Out and in again: nothing lost, nothing doubled, nothing half."""

import json
from unittest import mock
from uuid import uuid4

from django.test import override_settings

from chat.models import Conversation, Generation, Message
from chat.transfer import exporting, importing
from tests.transfer.test_chatgpt import conversation as chatgpt
from tests.transfer.test_chatgpt import node
from tests.views.kept import KeptTestCase, path_of

USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
ERROR = {"code": "upstream_auth", "message": "No.", "retryable": False}


class TransferTestCase(KeptTestCase):
    def import_(self, *items, user=None, status=200):
        return self.call("POST", "/import/", {"conversations": items}, user=user, status=status)

    def tree(self, conversation):
        """Return what a conversation says, without ids."""
        places = {}
        found = []
        for message in conversation.messages.order_by("id").select_related("generation"):
            places[message.pk] = len(places)
            generation = getattr(message, "generation", None)
            told = generation and (
                generation.model, generation.agent, generation.status, generation.usage,
                generation.error, generation.finish_reason, generation.ended_at,
            )  # fmt: skip
            place = places.get(message.parent_id)
            found.append((message.role, message.text, message.reasoning, place, told))
        return found


class RoundTripTests(TransferTestCase):
    def conversation(self):
        made = self.add("Tea & <more>", tag_lines="\na\nb\n", model="demo", days=3)
        made.messages.create(role="system", text="Be brief.")
        first = self.add_turn(made, 'Où ?\n"quoted" \\ 🎈', "**Ici**", usage=USAGE)
        self.add_turn(made, "Then?", "", parent=first, status="failed", error=ERROR)
        other = self.add_answer(made, first.parent, "Là", finish_reason="length", agent="chat")
        Message.objects.filter(pk=other.pk).update(reasoning="Hm.")
        return made

    def test_what_is_exported_comes_back_as_it_was(self):
        before = self.conversation()
        text = self.export(path_of(before, "export/"))
        exported = json.loads(text)
        assert (exported["format"], exported["version"]) == ("chat-export", 1)
        report = self.call("POST", "/import/", exported, user=self.bob)
        assert (report["imported"], report["already"], report["failed"]) == (1, 0, 0)
        after = Conversation.objects.get(owner=self.bob)
        assert report["items"][0]["conversation"] == str(after.pk)
        assert report["items"][0]["messages"] == 6
        assert self.tree(after) == self.tree(before)
        for field in ("title", "tags", "model", "created_at", "updated_at", "pinned", "archived"):
            assert getattr(after, field) == getattr(before, field), field
        assert after.pk != before.pk
        again = json.loads(self.export(path_of(after, "export/"), user=self.bob))
        assert len(again["conversations"][0]["messages"]) == 6

    def test_the_same_twice_is_not_doubled(self):
        exported = json.loads(self.export(path_of(self.conversation(), "export/")))
        gpt = chatgpt(node("u", None, "user", "Why?"), node("a", "u", "assistant", "So."))
        for expected in ((2, 0), (0, 2)):
            report = self.import_(*exported["conversations"], gpt, user=self.bob)
            assert (report["imported"], report["already"]) == expected
        assert Conversation.objects.filter(owner=self.bob).count() == 2
        assert Message.objects.filter(conversation__owner=self.bob).count() == 8
        # Its owner has it already, though nothing was ever imported.
        report = self.import_(*exported["conversations"])
        assert (report["imported"], report["already"]) == (0, 1)
        # What was deleted may come back.
        for conversation in Conversation.objects.filter(owner=self.bob):
            self.call("DELETE", path_of(conversation), user=self.bob, status=204)
        assert self.import_(gpt, user=self.bob)["imported"] == 1

    def test_an_answer_that_was_being_written_ended_with_its_export(self):
        conversation = self.add()
        self.add_turn(conversation, "q", "so far", status="running")
        exported = json.loads(self.export(path_of(conversation, "export/")))
        self.call("POST", "/import/", exported, user=self.bob)
        assert Generation.objects.get(owner=self.bob).status == "interrupted"

    def test_all_is_exported_a_few_rows_at_a_time(self):
        for number in range(5):
            self.add(f"Number {number}", *[("q", "a")] * 3)
        self.add("Not hers", ("q", "a"), owner=self.bob)
        self.enterContext(mock.patch.object(exporting, "CONVERSATIONS", 2))
        self.enterContext(mock.patch.object(exporting, "MESSAGES", 4))
        exported = json.loads(self.export("/export/"))["conversations"]
        assert [c["title"] for c in exported] == [f"Number {n}" for n in range(5)]
        assert {len(c["messages"]) for c in exported} == {6}
        text = self.export("/export/", form="markdown")
        assert text.count("\n# Number") == 4
        assert text.count("## You") == 15

    def test_without_anything_an_export_is_empty_and_valid(self):
        assert json.loads(self.export("/export/"))["conversations"] == []
        assert self.export("/export/", form="markdown") == ""


class MarkdownTests(TransferTestCase):
    def setUp(self):
        super().setUp()
        self.conversation = self.add("Tea")
        self.first = self.add_turn(self.conversation, "Which?", "Old *one*")
        self.add_turn(self.conversation, "below the old", "fine", parent=self.first)
        self.add_answer(self.conversation, self.first.parent, "New one")

    def read(self, **query):
        return self.export(path_of(self.conversation, "export/"), form="markdown", **query)

    def test_the_branch_that_is_shown(self):
        text = self.read()
        assert text.startswith("# Tea\n\n*")
        assert "\n## You\n\nWhich?\n\n## Assistant · demo\n\nNew one\n" in text
        assert "Old" not in text

    def test_another_branch(self):
        leaf = self.conversation.messages.get(text="fine").pk
        text = self.read(leaf=leaf)
        assert "Old *one*" in text
        assert "New one" not in text
        self.call("GET", path_of(self.conversation, "export/"), form="markdown",
                  leaf=uuid4(), status=404)  # fmt: skip

    def test_all_branches_each_version_followed_by_what_came_of_it(self):
        text = self.read(branch="all")
        order = [text.index(part) for part in (
            "Which?", "· version 1 of 2", "Old *one*", "below the old", "fine",
            "· version 2 of 2", "New one",
        )]  # fmt: skip
        assert order == sorted(order)

    def test_it_is_a_file_with_a_name(self):
        answer = self.call("GET", path_of(self.conversation, "export/"), form="markdown")
        assert answer["Content-Type"] == "text/markdown; charset=utf-8"
        assert answer["Content-Disposition"].startswith('attachment; filename="chat-')
        assert answer["X-Content-Type-Options"] == "nosniff"
        self.call("GET", path_of(self.conversation, "export/"), form="pdf", status=400)


class ImportTests(TransferTestCase):
    def item(self, **fields):
        message = {"id": "1", "parent": None, "role": "user", "text": "q"}
        return {"title": "x", "messages": [message]} | fields

    def messages(self, *rows):
        names = ("id", "parent", "role", "text")
        return self.item(messages=[dict(zip(names, row, strict=False)) for row in rows])

    def test_one_that_is_wrong_does_not_keep_out_the_others(self):
        wrong = [
            3,
            {},
            self.item(messages=[]),
            self.item(messages=[{"id": "1"}]),
            self.item(tags=["x"] * 11),
            self.messages(("1", "2", "user", "q"), ("2", None, "user", "q")),
            self.messages(("1", None, "user", "q"), ("1", None, "user", "q")),
            self.messages(("1", "1", "user", "q")),
            self.messages(("1", None, "narrator", "q")),
            self.messages(("1", None, "user", 7)),
        ]
        report = self.import_(self.item(), *wrong, self.item(title="y"))
        assert (report["imported"], report["failed"]) == (2, len(wrong))
        assert [item["index"] for item in report["items"]] == list(range(12))
        for item in report["items"][1:-1]:
            assert item["status"] == "failed"
            assert item["error"]["code"] == "bad_request"
            assert item["conversation"] is None
        assert "parent" in report["items"][6]["error"]["message"]
        assert Conversation.objects.count() == 2

    def test_nothing_is_half_imported(self):
        item = self.messages(("1", None, "user", "q"), ("2", "1", "assistant", "a"))
        item["messages"][1]["generation"] = {"model": "demo", "status": "done"}
        broken = mock.patch.object(importing, "Generation", side_effect=ZeroDivisionError)
        with broken, self.assertLogs("chat.transfer.importing", "ERROR"):
            report = self.import_(item)
        assert report["items"][0]["error"]["code"] == "internal_error"
        assert not Conversation.objects.exists()
        assert not Message.objects.exists()
        assert self.import_(item)["imported"] == 1

    def test_it_can_be_gone_on_with_and_found(self):
        self.import_(chatgpt(
            node("u", None, "user", "Why is the sky blue?"),
            node("a", "u", "assistant", "Rayleigh.", metadata={"model_slug": "gpt-4"}),
        ))  # fmt: skip
        assert self.list(q="rayleigh") == ["Tea"]
        (item,) = self.call("GET", "/conversations/")["items"]
        assert not item["unread"]
        messages = self.call("GET", path_of(item["id"], "messages/"))["items"]
        generation = self.call("GET", f"/generations/{messages[1]['generation']}/")
        assert (generation["model"], generation["status"]) == ("gpt-4", "done")
        assert item["model"] == ""
        assert self.news[0]["title"] == "Tea"

    def test_a_model_that_is_not_here_is_not_asked(self):
        self.import_(self.item(model="no-such"), self.item(model="demo", title="y"))
        assert sorted(Conversation.objects.values_list("model", flat=True)) == ["", "demo"]

    def test_times_and_titles_are_bounded(self):
        self.import_(self.item(title="t " * 500, created_at="2999-01-01", updated_at=-5e20))
        conversation = Conversation.objects.get()
        assert len(conversation.title) <= 200
        assert conversation.created_at.year < 2999

    def test_too_much_at_once_is_refused_whole(self):
        self.import_(*[self.item()] * 1001, status=400)
        self.call("POST", "/import/", {}, status=400)
        self.call("POST", "/import/", {"conversations": {}}, status=400)
        with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000):
            self.import_(self.item(title="x" * 2000), status=413)
        assert not Conversation.objects.exists()
