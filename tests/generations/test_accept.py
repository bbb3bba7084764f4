from datetime import timedelta
from unittest import mock
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings
from django.utils import timezone

from chat.errors import (
    BadRequest,
    IdempotencyConflict,
    NotFound,
    PromptTooLong,
    QueueFull,
    RateLimited,
)
from chat.generations import turns, workers
from chat.generations.accept import accept
from chat.generations.asks import Ask
from chat.generations.end import End, Facts
from chat.generations.told import title_from
from chat.models import Conversation, Generation, Message

Status = Generation.Status


class AcceptTestCase(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.user = get_user_model().objects.create_user("ann")
        cls.other = get_user_model().objects.create_user("bob")

    def ask(self, text="hello", key=None, user=None, **fields):
        key = key or str(uuid4())
        who = user or self.user
        return accept(Ask(user=who, key=key, default_model="demo", text=text, **fields))

    def end(self, accepted, text="an answer", status=Status.DONE):
        end = End(status=status, text=text, reasoning="", cursor=3, facts=Facts())
        assert turns.end_run(turns.load_run(accepted.generation), end)


class AcceptTests(AcceptTestCase):
    def test_a_prompt_gets_a_message_an_answer_and_a_generation(self):
        accepted = self.ask("  What   is\nthis? ")
        generation = accepted.generation
        assert accepted.prompt.text == "  What   is\nthis? "
        assert accepted.prompt.conversation.title == "What is this?"
        assert generation.message.parent == accepted.prompt
        assert (generation.status, accepted.position) == (Status.RUNNING, 0)
        assert accepted.is_new_conversation

    def test_prompts_sent_meanwhile_wait_in_order_below_one_another(self):
        first = self.ask()
        conversation = first.prompt.conversation
        rest = [self.ask(conversation_id=conversation.pk) for _ in range(3)]
        assert [accepted.position for accepted in rest] == [1, 2, 3]
        assert [accepted.prompt.parent for accepted in rest] == [
            first.generation.message,
            rest[0].generation.message,
            rest[1].generation.message,
        ]
        assert [accepted.generation.queue_position() for accepted in rest] == [1, 2, 3]

    def test_e08_the_same_key_returns_the_same_rows(self):
        first = self.ask("a", key="k")
        again = self.ask("a", key="k")
        assert again.generation == first.generation
        assert again.prompt == first.prompt
        assert not again.is_new
        assert Message.objects.count() == 2

    def test_e09_the_same_key_with_other_content_is_refused(self):
        self.ask("a", key="k")
        with pytest.raises(IdempotencyConflict):
            self.ask("b", key="k")
        with pytest.raises(IdempotencyConflict):
            self.ask("a", key="k", model="demo")

    def test_e09_keys_of_different_users_are_different(self):
        first = self.ask("a", key="k")
        assert self.ask("a", key="k", user=self.other).generation != first.generation

    def test_a_key_is_free_again_after_a_day(self):
        first = self.ask("a", key="k")
        Generation.objects.update(created_at=timezone.now() - timedelta(hours=25))
        assert self.ask("b", key="k").generation != first.generation

    def test_bad_input_saves_nothing(self):
        bob = self.ask(user=self.other)
        mine = self.ask()
        for error, fields in (
            (BadRequest, {"text": "  "}),
            (BadRequest, {"key": "k" * 129}),
            (PromptTooLong, {"text": "ü" * 32_769}),
            (NotFound, {"conversation_id": uuid4()}),
            (NotFound, {"conversation_id": bob.prompt.conversation_id}),
            (
                NotFound,
                {
                    "conversation_id": mine.prompt.conversation_id,
                    "parent_id": bob.generation.message_id,
                },
            ),
            (
                BadRequest,
                {"conversation_id": mine.prompt.conversation_id, "parent_id": mine.prompt.pk},
            ),
            (NotFound, {"answer_id": bob.generation.message_id}),
            (BadRequest, {"answer_id": mine.prompt.pk}),
        ):
            before = (Conversation.objects.count(), Message.objects.count())
            with pytest.raises(error):
                self.ask(**fields)
            assert (Conversation.objects.count(), Message.objects.count()) == before

    def test_a_prompt_of_exactly_the_limit_is_taken(self):
        assert self.ask("ü" * 32_768).is_new

    def test_null_as_parent_begins_again_at_the_root(self):
        first = self.ask()
        self.end(first)
        second = self.ask(conversation_id=first.prompt.conversation_id, parent_id=None)
        assert second.prompt.parent is None

    def test_an_answer_is_given_again_beside_the_old_one(self):
        first = self.ask()
        self.end(first)
        again = self.ask(answer_id=first.generation.message_id)
        assert again.prompt == first.prompt
        assert again.generation.message.parent == first.prompt
        assert again.generation.message != first.generation.message
        first.generation.message.refresh_from_db()
        assert first.generation.message.text == "an answer"

    def test_the_model_is_the_named_one_else_the_conversations_else_the_default(self):
        named = self.ask(model="openai:a")
        self.end(named)
        follows = self.ask(conversation_id=named.prompt.conversation_id)
        other = self.ask(conversation_id=named.prompt.conversation_id, model="openai:b")
        models = [accepted.generation.model for accepted in (named, follows, other, self.ask())]
        assert models == ["openai:a", "openai:a", "openai:b", "demo"]

    def test_the_first_prompt_titles_a_conversation_that_has_no_title(self):
        conversation = Conversation.objects.create(owner=self.user)
        self.ask("What is this?", conversation_id=conversation.pk)
        self.ask("And that?", conversation_id=conversation.pk)
        conversation.refresh_from_db()
        assert conversation.title == "What is this?"

    def test_a_title_is_one_short_line(self):
        assert title_from("a\n b") == "a b"
        assert len(title_from("word " * 100)) <= 60


class LimitTests(AcceptTestCase):
    @override_settings(CHAT={"QUEUE_LIMIT": 2})
    def test_a_full_queue_refuses(self):
        first = self.ask()
        for _ in range(2):
            self.ask(conversation_id=first.prompt.conversation_id)
        with pytest.raises(QueueFull):
            self.ask(conversation_id=first.prompt.conversation_id)

    @override_settings(CHAT={"MAX_RUNNING_PER_USER": 2})
    def test_a11_running_answers_are_limited_per_user(self):
        first = self.ask()
        self.ask()
        with pytest.raises(RateLimited) as caught:
            self.ask()
        assert caught.value.retry_after
        assert self.ask(user=self.other).is_new
        self.end(first)
        assert self.ask().is_new

    @override_settings(CHAT={"MESSAGES_PER_MINUTE": 2, "MAX_RUNNING_PER_USER": 99})
    def test_messages_a_minute_are_limited_and_the_wait_is_told(self):
        self.ask()
        self.ask(key="k")
        with pytest.raises(RateLimited) as caught:
            self.ask()
        assert 0 < caught.value.retry_after <= 60
        assert not self.ask(key="k").is_new
        later = timezone.now() + timedelta(seconds=61)
        with mock.patch("django.utils.timezone.now", return_value=later):
            assert self.ask().is_new


class TurnTests(AcceptTestCase):
    def test_the_longest_waiting_is_claimed_once_and_only_when_nothing_runs(self):
        first = self.ask("one")
        conversation_id = first.prompt.conversation_id
        second = self.ask("two", conversation_id=conversation_id)
        self.ask("three", conversation_id=conversation_id)
        assert turns.claim_next(conversation_id) is None
        self.end(first)
        run = turns.claim_next(conversation_id)
        assert run is not None
        assert run.generation_id == second.generation.pk
        assert turns.claim_next(conversation_id) is None

    def test_a_run_is_told_the_path_above_its_prompt(self):
        first = self.ask("one")
        self.end(first, text="answer one")
        second = self.ask("two", conversation_id=first.prompt.conversation_id)
        run = turns.load_run(second.generation)
        assert run.history == [("user", "one"), ("assistant", "answer one")]
        assert run.prompt == "two"

    def test_a_withdrawn_prompt_is_not_told_to_the_model(self):
        first = self.ask("one")
        conversation_id = first.prompt.conversation_id
        second = self.ask("two", conversation_id=conversation_id)
        third = self.ask("three", conversation_id=conversation_id)
        assert turns.stop_queued(second.generation.pk)
        assert not turns.stop_queued(second.generation.pk)
        self.end(first, text="answer one")
        run = turns.claim_next(conversation_id)
        assert run is not None
        assert run.generation_id == third.generation.pk
        assert run.history == [("user", "one"), ("assistant", "answer one")]

    def test_a_prompt_after_a_withdrawn_one_follows_the_last_answer(self):
        first = self.ask("one")
        conversation_id = first.prompt.conversation_id
        turns.stop_queued(self.ask("two", conversation_id=conversation_id).generation.pk)
        third = self.ask("three", conversation_id=conversation_id)
        assert third.prompt.parent == first.generation.message

    def test_a_prompt_that_names_a_withdrawn_answer_follows_what_that_had_followed(self):
        first = self.ask("one")
        conversation_id = first.prompt.conversation_id
        second = self.ask("two", conversation_id=conversation_id)
        turns.stop_queued(second.generation.pk)
        third = self.ask(
            "three", conversation_id=conversation_id, parent_id=second.generation.message_id
        )
        assert third.prompt.parent == first.generation.message
        self.end(first, text="answer one")
        run = turns.claim_next(conversation_id)
        assert run is not None
        assert run.history == [("user", "one"), ("assistant", "answer one")]

    def test_an_answer_that_was_begun_and_stopped_is_followed(self):
        first = self.ask("one")
        self.end(first, text="half an", status=Status.STOPPED)
        conversation_id, answer = first.prompt.conversation_id, first.generation.message
        second = self.ask("two", conversation_id=conversation_id, parent_id=answer.pk)
        assert second.prompt.parent == answer

    def test_an_end_is_saved_once(self):
        accepted = self.ask()
        self.end(accepted, text="kept")
        late = End(status=Status.STOPPED, text="late", reasoning="", cursor=9, facts=Facts())
        assert not turns.end_run(turns.load_run(accepted.generation), late)
        turns.save_progress([(turns.load_run(accepted.generation), "later", "")])
        message = Message.objects.get(pk=accepted.generation.message_id)
        assert message.text == "kept"

    def test_an_end_said_again_is_the_same_end(self):
        accepted = self.ask()
        self.end(accepted, text="kept")
        self.end(accepted, text="kept")

    def test_orphan_is_claimed_once_and_its_former_worker_can_not_end_it(self):
        dead = uuid4()
        accepted = self.ask(worker=dead)
        former = turns.load_run(accepted.generation)
        claimed = turns.claim_orphan(accepted.generation.pk, of=dead)
        assert claimed is not None
        run, stop = claimed
        assert (run.epoch, stop) == (former.epoch + 1, False)
        assert turns.claim_orphan(accepted.generation.pk, of=dead) is None
        end = End(status=Status.DONE, text="late", reasoning="", cursor=3, facts=Facts())
        assert not turns.end_run(former, end)
        assert turns.end_run(run, end)

    def test_only_what_runs_can_be_asked_to_stop(self):
        first = self.ask("one")
        second = self.ask("two", conversation_id=first.prompt.conversation_id)
        assert turns.request_stop(first.generation.pk)
        assert not turns.request_stop(second.generation.pk)


class WorkerTests(AcceptTestCase):
    def test_look_shows_who_lives_what_runs_and_what_waits(self):
        first = self.ask("one")
        self.ask("two", conversation_id=first.prompt.conversation_id)
        sight = workers.look(beat=True)
        assert sight.beats == {workers.worker_id(): 0}
        assert sight.running == [(first.generation.pk, None)]
        assert sight.waiting == []
        Generation.objects.running().update(status=Status.DONE)
        sight = workers.look(beat=True)
        assert sight.beats == {workers.worker_id(): 1}
        assert sight.waiting == [first.prompt.conversation_id]

    def test_looking_without_a_beat_leaves_no_trace(self):
        assert workers.look(beat=False).beats == {}
