"""Conversations that begin as copies of others."""

from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from chat.database import in_database, in_transaction
from chat.errors import BadRequest, NotFound
from chat.generations import regenerate, stop_generation
from chat.generations.forks import fork_conversation
from chat.models import Conversation, Message
from tests.agents.base import AgentCase
from tests.agents.test_router import turns


class ForkTests(AgentCase):
    async def path(self, conversation):
        """Return role and text from the root to the newest message."""

        def read():
            found, message = [], conversation.messages.order_by("-id").first()
            while message is not None:
                found.append((message.role, message.text))
                message = message.parent
            return found[::-1]

        return await in_database(read)

    async def two_turns(self):
        first = await self.answer("One", "answer_question", "text:Yes.")
        second = await self.answer(
            "Two", "generate_poem", "text:No.", conversation_id=first.conversation_id
        )
        return first, second

    async def fork(self, generation, **at):
        return await fork_conversation(self.user, generation.conversation_id, **at)

    async def test_a_fork_at_an_answer_has_all_that_led_to_it(self):
        first, second = await self.two_turns()
        again = await regenerate(self.user, message_id=first.message_id, key="r", agent="")
        await self.events(again.generation)
        fork = await self.fork(second, message_id=second.message_id)
        assert await self.path(fork) == [
            ("user", "One"),
            ("assistant", "Yes."),
            ("user", "Two"),
            ("assistant", "No."),
        ]
        assert await in_database(fork.messages.count) == 4
        assert (fork.forked_from_id, fork.forked_at_step_id) == (second.message_id, None)
        assert (fork.title, fork.agent, fork.owner_id) == ("One (fork)", "router", self.user.pk)
        times = fork.messages.order_by("id").values_list("created_at", flat=True)
        assert (await in_database(list, times))[-1] == second.message.created_at
        earlier = await self.fork(second, message_id=first.message_id)
        assert await self.path(earlier) == [("user", "One"), ("assistant", "Yes.")]

    async def test_1_7_12_a_fork_at_a_step_goes_on_from_the_state_after_it(self):
        _, second = await self.two_turns()
        for step in await self.steps(second):
            fork = await self.fork(second, step_id=step.pk)
            assert fork.forked_at_step_id == step.pk
            assert fork in await in_database(list, step.forks.all())
            answer = await self.answer("Three", "unknown", conversation_id=fork.pk, agent=None)
            before = (await self.steps(answer))[0]
            assert before.state_before["chat_history"] == step.state_after["chat_history"]
        assert before.state_before["chat_history"] == turns("One", "Yes.", "Two", "No.")
        assert before.sequence == 0

    async def test_a_fork_at_a_prompt_is_followed_by_the_next_prompt(self):
        first, second = await self.two_turns()
        fork = await self.fork(second, message_id=second.message.parent_id)
        assert await self.path(fork) == [("user", "One"), ("assistant", "Yes."), ("user", "Two")]
        await self.answer("Three", agent="", conversation_id=fork.pk)
        assert [text for _, text in self.asked[-1][1:]] == ["One", "Yes.", "Two", "Three"]
        newest = await in_database(lambda: fork.messages.order_by("id")[2])
        named = await self.start("Four", conversation_id=first.conversation_id, parent_id=None)
        await self.events(named.generation)
        with pytest.raises(BadRequest):  # It has an answer by now.
            await self.start("Five", conversation_id=fork.pk, parent_id=newest.pk)

    async def test_a_stopped_answer_is_kept_in_a_fork_and_one_that_never_came_is_not(self):
        failed = await self.answer("One", "status:401")
        *_, step = await self.steps(failed)
        fork = await self.fork(failed, step_id=step.pk)
        assert await self.path(fork) == [("user", "One")]
        fork = await self.fork(failed, message_id=failed.message_id)
        assert await self.path(fork) == [("user", "One")]
        half = await self.answer("One", "answer_question", "eof-after:1")
        *_, step = await self.steps(half)
        fork = await self.fork(half, step_id=step.pk)
        assert await self.path(fork) == [("user", "One"), ("assistant", "word0 ")]

    async def test_nothing_is_forked_that_is_still_being_written(self):
        accepted = await self.ask("One", "answer_question", "words:5000@100")
        conversation_id = accepted.prompt.conversation_id
        waiting = await self.start("Two", conversation_id=conversation_id)
        for message_id in (accepted.generation.message_id, waiting.prompt.pk):
            with pytest.raises(BadRequest, match="written"):
                await self.fork(accepted.generation, message_id=message_id)
        fork = await self.fork(accepted.generation, message_id=accepted.prompt.pk)
        assert await self.path(fork) == [("user", "One")]
        for each in (waiting, accepted):
            await stop_generation(each.generation)

    async def test_what_is_not_there_or_another_s_is_not_found(self):
        first, _ = await self.two_turns()
        other = await self.answer("One", "unknown")
        step = (await self.steps(other))[0]
        for at in (
            {"message_id": uuid4()},
            {"message_id": other.message_id},
            {"step_id": step.pk},
            {"step_id": uuid4()},
        ):
            with pytest.raises(NotFound):
                await self.fork(first, **at)
        stranger = await in_database(get_user_model().objects.create_user, "eve")
        with pytest.raises(NotFound):
            await fork_conversation(stranger, first.conversation_id, message_id=first.message_id)
        for at in ({}, {"message_id": first.message_id, "step_id": step.pk}):
            with pytest.raises(BadRequest):
                await self.fork(first, **at)

    async def test_a_fork_outlives_what_it_was_copied_from(self):
        first, second = await self.two_turns()
        step = (await self.steps(second))[0]
        fork = await self.fork(second, step_id=step.pk)
        await in_transaction(first.conversation.delete)
        fork = await in_database(Conversation.objects.get, pk=fork.pk)
        assert (fork.forked_from_id, fork.forked_at_step_id) == (None, None)
        assert await in_database(Message.objects.filter(conversation=fork).count) == 3

    async def test_a_fork_stands_where_its_client_keeps_the_original(self):
        for client_id, place in {"burr:demo/app1": "burr:demo/", "ai:1": None, None: None}.items():
            generation = await self.answer("One", "unknown", client_id=client_id)
            fork = await self.fork(generation, message_id=generation.message_id)
            assert fork.client_id == (f"{place}{fork.pk}" if place else None)

    async def test_a_long_title_leaves_room_for_the_hint(self):
        first = await self.answer("One", "unknown")
        rows = Conversation.objects.filter(pk=first.conversation_id)
        await in_database(rows.update, title="x" * 200)
        fork = await self.fork(first, message_id=first.message_id)
        assert len(fork.title) == 200
        assert fork.title.endswith("x (fork)")
