"""The prompts that wait: their order, their text, and what becomes of those behind them."""

from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from chat.errors import BadRequest, NotFound, NotQueued
from chat.generations import queue, turns
from chat.generations.history import history_before, newest_end
from chat.models import Generation, Message
from chat.views.branches import branch_of
from tests.generations.test_accept import AcceptTestCase

Status = Generation.Status


class QueueTests(AcceptTestCase):
    def setUp(self):
        self.first = self.ask("first")
        self.conversation = self.first.prompt.conversation
        self.waiting = [self.send(text) for text in ("b", "c", "d")]

    def send(self, text, **fields):
        return self.ask(text, conversation_id=self.conversation.pk, **fields).generation

    def texts(self):
        return [item.text for item in queue._queue_of(self.user, self.conversation.pk)]

    def change(self, generation, *, text=None, place=None, user=None):
        return queue._change(user or self.user, generation.pk, text, place)[1]

    def run_all(self):
        """End what runs, again and again, and return what each model was told."""
        told, accepted = [], self.first
        self.end(accepted)
        while run := turns.claim_next(self.conversation.pk):
            told.append([text for _, text in [*run.history, ("user", run.prompt)]])
            Message.objects.filter(pk=run.message_id).update(text=f"re {run.prompt}")
            running = Generation.objects.filter(pk=run.generation_id)
            running.update(status=Status.DONE)
        return told

    def test_they_stand_in_the_order_in_which_they_came(self):
        assert self.texts() == ["b", "c", "d"]

    def test_any_can_be_moved_to_any_place(self):
        for start in range(3):
            for place in (1, 2, 3):
                before = self.texts()
                items = queue._queue_of(self.user, self.conversation.pk)
                moved = Generation.objects.get(pk=items[start].generation)
                text = before.pop(start)
                before.insert(place - 1, text)
                assert [item.text for item in self.change(moved, place=place)] == before
        assert Message.objects.count() == 8  # Nothing is left of the moves.

    def test_a_generation_answers_the_prompt_that_it_was_accepted_for(self):
        self.change(self.waiting[2], place=1)
        for generation, text in zip(self.waiting, "bcd", strict=True):
            generation.refresh_from_db()
            assert generation.message.parent.text == text
        assert [each.queue_position() for each in self.waiting] == [2, 3, 1]

    def test_what_runs_next_follows_the_order_and_each_is_told_of_those_before(self):
        self.change(self.waiting[2], place=1)
        assert self.run_all() == [
            ["first", "an answer", "d"],
            ["first", "an answer", "d", "re d", "b"],
            ["first", "an answer", "d", "re d", "b", "re b", "c"],
        ]

    def test_what_is_sent_after_a_move_follows_the_last_one(self):
        self.change(self.waiting[0], place=3)
        last = self.send("e")
        assert self.texts() == ["c", "d", "b", "e"]
        assert last.message.parent.parent.parent.text == "b"
        assert newest_end(self.conversation) == last.message

    def test_a_place_past_the_end_is_the_last(self):
        assert [item.text for item in self.change(self.waiting[0], place=99)] == ["c", "d", "b"]

    def test_a_text_can_be_changed_until_it_is_asked(self):
        self.change(self.waiting[0], text="B")
        assert self.texts() == ["B", "c", "d"]
        with pytest.raises(BadRequest):
            async_to_sync(queue.change_queued)(self.user, self.waiting[0].pk, text=" ")
        assert self.run_all()[0][-1] == "B"

    def test_the_same_request_again_finds_what_was_moved_and_changed(self):
        key = str(uuid4())
        sent = self.send("e", key=key)
        self.change(sent, place=1, text="E")
        again = self.ask("e", key, conversation_id=self.conversation.pk)
        assert (again.generation, again.position, again.is_new) == (sent, 1, False)
        assert again.prompt.text == "E"

    def test_what_was_started_or_removed_is_refused(self):
        self.end(self.first)
        turns.claim_next(self.conversation.pk)
        turns.stop_queued(self.waiting[1].pk)
        for generation in self.waiting[:2]:
            with pytest.raises(NotQueued):
                self.change(generation, place=2)
            with pytest.raises(NotQueued):
                queue._put_first(self.user, generation.pk)
        assert self.texts() == ["d"]

    def test_a_strangers_queue_is_not_found(self):
        with pytest.raises(NotFound):
            self.change(self.waiting[0], place=2, user=self.other)
        with pytest.raises(NotFound):
            queue._queue_of(self.other, self.conversation.pk)

    def test_what_is_sent_now_comes_first_and_names_what_is_to_be_stopped(self):
        _, running = queue._put_first(self.user, self.waiting[2].pk)
        assert running == self.first.generation
        assert self.texts() == ["d", "b", "c"]

    def test_another_branch_and_an_answer_given_again_keep_their_place(self):
        self.end(self.first)
        run = turns.claim_next(self.conversation.pk)
        elsewhere = self.send("other", parent_id=None)
        again = self.ask(answer_id=self.first.generation.message_id).generation
        last = self.send("last")
        assert self.texts() == ["c", "d", "other", "first", "last"]
        for fixed in (elsewhere, again):
            with pytest.raises(NotQueued):
                self.change(fixed, place=1)
        assert [item.text for item in self.change(last, place=1)] == [
            *("last", "c", "other", "first", "d")
        ]
        elsewhere.refresh_from_db()
        assert elsewhere.message.parent.parent is None
        assert run.generation_id == self.waiting[0].pk

    def test_what_waits_behind_one_taken_out_after_a_move_follows_what_that_followed(self):
        self.change(self.waiting[2], place=1)
        turns.stop_queued(self.waiting[2].pk)
        assert self.run_all()[0] == ["first", "an answer", "b"]
        gone = Generation.objects.get(pk=self.waiting[2].pk)
        assert gone.message.parent.text == "d"

    def test_one_taken_out_is_not_the_end_of_the_branch_that_is_shown(self):
        for generation in self.waiting[::-1]:
            turns.stop_queued(generation.pk)
        messages, _ = branch_of(self.conversation, limit=100)
        assert messages == [self.first.prompt, self.first.generation.message]

    def test_history_reads_the_moved_prompt(self):
        self.change(self.waiting[1], place=1)
        moved = Generation.objects.get(pk=self.waiting[1].pk)
        assert history_before(moved.message, limit_chars=1000)[-1] == ("user", "c")
