"""Deleting in two steps, against a real model server."""

import asyncio
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth import get_user_model
from django.test import TransactionTestCase
from django.utils import timezone

from chat.database import in_database, in_transaction
from chat.errors import NotFound
from chat.eventlog import event_log
from chat.generations import recover, shutdown, watch
from chat.generations.removal import delete_conversation, purge_deleted, restore_conversation
from chat.models import Conversation, Generation, Message
from chat.models.kept import UNDO_TIME
from tests.generations.test_generations import GenerationCase

Status = Generation.Status


class RemovalTests(GenerationCase, TransactionTestCase):
    event_log = "database"

    def setUp(self):
        super().setUp()
        self.other = get_user_model().objects.create_user("bob")

    async def ask(self, text="hi", *, script="words:2", **fields):
        return await self.start(text, model=f"openai:{script}", **fields)

    async def answered(self, *args, **fields):
        accepted = await self.ask(*args, **fields)
        await self.events(accepted.generation)
        return accepted

    async def test_what_is_deleted_is_found_by_nobody_and_can_come_back(self):
        accepted = await self.answered("About looms")
        pk = accepted.generation.conversation_id
        await delete_conversation(self.user, pk)
        assert await in_database(self.found, pk, accepted) == [False] * 4
        with pytest.raises(NotFound):
            await delete_conversation(self.user, pk)
        with pytest.raises(NotFound):
            await self.ask(conversation_id=pk)
        with pytest.raises(NotFound):
            await restore_conversation(self.other, pk)
        await restore_conversation(self.user, pk)
        assert await in_database(self.found, pk, accepted) == [True] * 4
        with pytest.raises(NotFound):
            await restore_conversation(self.user, pk)

    def found(self, pk, accepted):
        owned = Conversation.objects.owned_by(self.user)
        return [
            owned.filter(pk=pk).exists(),
            owned.search("looms").exists(),
            Message.objects.owned_by(self.user).filter(pk=accepted.prompt.pk).exists(),
            Generation.objects.owned_by(self.user).filter(pk=accepted.generation.pk).exists(),
        ]

    async def test_what_runs_in_it_is_stopped_and_what_waits_does_not_begin(self):
        running = await self.ask("Go on", script="infinite@20")
        pk = running.generation.conversation_id
        waiting = await self.ask(conversation_id=pk)
        await delete_conversation(self.user, pk)
        statuses = Generation.objects.filter(conversation=pk).order_by("id")
        found = await in_database(list, statuses.values_list("status", flat=True))
        assert found == [Status.STOPPED, Status.STOPPED]
        assert waiting.position == 1

    async def test_after_ten_minutes_it_is_gone_for_good(self):
        accepted = await self.answered()
        pk = accepted.generation.conversation_id
        await delete_conversation(self.user, pk)
        assert await purge_deleted() == 0
        await self.age(pk, UNDO_TIME - timedelta(seconds=5))
        await restore_conversation(self.user, pk)
        await delete_conversation(self.user, pk)
        await self.age(pk, UNDO_TIME)
        with pytest.raises(NotFound):
            await restore_conversation(self.user, pk)
        assert await purge_deleted() == 1
        assert not await in_database(Conversation.objects.exists)
        assert not await in_database(Message.objects.exists)
        assert await purge_deleted() == 0

    async def age(self, pk, by):
        rows = Conversation.objects.filter(pk=pk)
        await in_transaction(rows.update, deleted_at=timezone.now() - by)

    async def test_a_temporary_one_that_is_over_is_stopped_and_deleted(self):
        accepted = await self.ask("Hush", script="infinite@20", temporary=True)
        pk = accepted.generation.conversation_id
        assert accepted.prompt.conversation.temporary
        async for batch in event_log().follow(accepted.generation.pk):
            if batch[-1].cursor > 2:
                break
        assert await purge_deleted() == 0
        await self.age(pk, timedelta(seconds=1))
        assert await purge_deleted() == 1
        assert not await in_database(Generation.objects.exists)
        (entry,) = (e for e in self.upstream.journal if "Hush" in str(e["body"]))
        assert self.upstream.wait_for(lambda _: entry["closed"] is not None)

    async def test_a_temporary_one_lives_on_from_its_last_prompt(self):
        accepted = await self.answered(temporary=True)
        pk = accepted.generation.conversation_id
        soon = timezone.now() + timedelta(minutes=1)
        await in_transaction(Conversation.objects.filter(pk=pk).update, deleted_at=soon)
        await self.answered(conversation_id=pk)
        conversation = await in_database(Conversation.objects.get, pk=pk)
        assert conversation.deleted_at > soon + timedelta(hours=23)

    async def test_a_prompt_brings_an_archived_one_back_and_marks_it_read(self):
        accepted = await self.answered()
        rows = Conversation.objects.filter(pk=accepted.generation.conversation_id)
        await in_transaction(rows.update, archived_at=timezone.now(), read_at=None)
        await self.answered(conversation_id=accepted.generation.conversation_id)
        conversation = await in_database(rows.get)
        assert not conversation.archived
        assert conversation.read_at == conversation.updated_at

    async def test_deleted_names_are_free_and_stay_with_who_took_them(self):
        first = await self.answered("a", key="k", client_id="x:1")
        await delete_conversation(self.user, first.generation.conversation_id)
        # The key is free as well: what it named is gone.
        second = await self.answered("a", key="k", client_id="x:1")
        assert second.is_new_conversation
        restored = await restore_conversation(self.user, first.generation.conversation_id)
        assert restored.client_id is None

    async def test_a_told_conversation_that_was_deleted_is_begun_anew(self):
        first = await self.answered("a", history=[])
        answer = await in_database(Message.objects.get, pk=first.generation.message_id)
        told = [("user", "a"), ("assistant", answer.text)]
        assert not (await self.answered("b", history=told)).is_new_conversation
        await delete_conversation(self.user, first.generation.conversation_id)
        assert (await self.answered("b", history=told)).is_new_conversation

    async def test_two_that_purge_at_once_do_no_harm(self):
        for _ in range(3):
            await in_transaction(
                Conversation.objects.create,
                owner=self.user,
                deleted_at=timezone.now() - UNDO_TIME,
            )
        await asyncio.gather(purge_deleted(), purge_deleted())
        assert not await in_database(Conversation.objects.exists)

    async def test_every_process_deletes_for_good_now_and_then(self):
        await in_transaction(
            Conversation.objects.create, owner=self.user, deleted_at=timezone.now() - UNDO_TIME
        )
        self.enterContext(mock.patch.object(watch, "PURGE_SECONDS", 0.05))
        await recover()
        try:
            async with asyncio.timeout(10):
                while await in_database(Conversation.objects.exists):
                    await asyncio.sleep(0.05)
        finally:
            await shutdown()
