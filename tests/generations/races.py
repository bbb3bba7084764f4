"""
Tabs that change a queue at random, all at once, and what has to be true afterwards.

The judge for `test_races.py` and `test_redis.py`: it knows only what was accepted, what was asked
for, what the model server was asked, and the rows.
"""

import asyncio
import random
from collections import Counter
from itertools import pairwise

from chat.database import in_database
from chat.errors import NotQueued
from chat.generations import queue, recover, shutdown, stop_generation
from chat.models import Generation, Message
from tests.generations.test_generations import GenerationCase

Status = Generation.Status

ROUNDS = 5
PROMPTS = 7
TABS = 3
ACTIONS = 8  # Of each tab.
# As often as each: whoever withdraws all the time soon has nothing to race for.
KINDS = ("move",) * 4 + ("edit",) * 3 + ("withdraw", "send_now", "stop")


class Races(GenerationCase):
    """What holds with every event log and database."""

    async def ask(self, conversation_id, name):
        model = "openai:words:4@100"
        accepted = await self.start(name, model=model, conversation_id=conversation_id)
        return accepted.generation

    async def fill(self, name, *, model="openai:words:4@100"):
        """Begin a conversation, and return its id and its generations; all but one wait."""
        first = await self.start(f"{name} first", model=model)
        conversation = first.prompt.conversation_id
        waiting = [await self.ask(conversation, f"{name} {n}") for n in range(1, PROMPTS)]
        return conversation, [first.generation, *waiting]

    async def act(self, kind, generation, text, place):
        """Do one thing to a generation. Return whether it was done; all else is refused."""
        try:
            if kind == "move":
                await queue.change_queued(self.user, generation.pk, place=place)
            elif kind == "edit":
                await queue.change_queued(self.user, generation.pk, text=text)
            elif kind == "withdraw":
                await queue.withdraw(self.user, generation.pk)
            elif kind == "send_now":
                await queue.send_now(self.user, generation.pk)
            else:
                await stop_generation(await self.reload(generation))
        except NotQueued:
            return False
        return True

    async def tab(self, chance, generations, done):
        for number in range(ACTIONS):
            await asyncio.sleep(chance.random() / 50)
            kind, generation = chance.choice(KINDS), chance.choice(generations)
            text = f"changed {chance.random()}"
            if await self.act(kind, generation, text, chance.randint(1, PROMPTS)):
                done.append((kind, generation.pk, number))

    async def watch(self, conversation):
        """Read the queue all the time: at every moment it is a queue."""
        while True:
            items = await queue.queue_of(self.user, conversation)
            assert [item.place for item in items] == list(range(1, len(items) + 1))
            assert len({item.generation for item in items}) == len(items)
            await asyncio.sleep(0.002)

    async def assert_settled(self, conversation, generations, done):
        """Everything has ended, once, in single file, each below the answer before it."""
        for generation in generations:
            events = await self.events(generation)
            assert [event.kind.is_terminal for event in events].count(True) == 1
            assert events[-1].cursor == len(events)
        rows = await in_database(list, self.rows(conversation))
        assert {row.pk for row in rows} == {generation.pk for generation in generations}
        assert {row.status for row in rows} <= {Status.DONE, Status.STOPPED}
        withdrawn = Counter(pk for kind, pk, _ in done if kind == "withdraw")
        assert set(withdrawn.values()) <= {1}
        by_id = {row.pk: row for row in rows}
        for pk in withdrawn:
            assert (by_id[pk].status, by_id[pk].started_at) == (Status.STOPPED, None)
        ran = sorted((row for row in rows if row.started_at), key=lambda row: row.started_at)
        assert [row.message_id for row in ran] == sorted(row.message_id for row in ran)
        for before, after in pairwise(ran):
            assert before.ended_at <= after.started_at
            assert after.message.parent.parent_id == before.message_id
        messages = Message.objects.filter(conversation_id=conversation)
        assert await in_database(messages.count) == 2 * len(rows)
        self.assert_asked_once(rows)

    def rows(self, conversation):
        rows = Generation.objects.select_related("message__parent")
        return rows.filter(conversation_id=conversation)

    def assert_asked_once(self, rows):
        asked = Counter(each["body"]["messages"][-1]["content"] for each in self.upstream.journal)
        for row in rows:
            times = asked[row.message.parent.text]
            assert times <= 1 if row.status == Status.STOPPED else times == 1
            assert row.started_at or not times

    async def race(self, seed):
        chance = random.Random(seed)
        conversation, generations = await self.fill(f"round {seed}")
        done = []
        watching = asyncio.create_task(self.watch(conversation))
        tabs = [self.tab(random.Random(chance.random()), generations, done) for _ in range(TABS)]
        await asyncio.gather(*tabs)
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()
        await self.assert_settled(conversation, generations, done)

    async def test_tabs_that_change_the_queue_at_random_leave_everything_in_order(self):
        await recover()
        try:
            for seed in range(ROUNDS):
                async with asyncio.timeout(60):
                    await self.race(seed)
        finally:
            await shutdown()

    async def test_one_of_many_who_withdraw_the_same_prompt_gets_it(self):
        await recover()
        conversation, generations = await self.fill("same", model="openai:infinite@50")
        done = await asyncio.gather(
            *(self.act("withdraw", generations[2], "", 1) for _ in range(8))
        )
        assert sorted(done) == [False] * 7 + [True]
        await stop_generation(generations[0])
        await self.assert_settled(conversation, generations, [])
        await shutdown()

    async def test_what_is_moved_while_others_are_withdrawn_waits_for_nobody(self):
        """Two who lock the same rows in another order would wait until one is given up."""
        await recover()
        for number in range(6):
            conversation, generations = await self.fill(f"pair {number}")
            _, *waiting = generations
            with self.assertNoLogs("chat", "WARNING"):
                for gone, moved in zip(waiting[::2], waiting[1::2], strict=True):
                    await asyncio.gather(
                        self.act("move", gone, "", PROMPTS),
                        self.act("withdraw", gone, "", 1),
                        self.act("move", moved, "", 1),
                        self.act("move", moved, "", PROMPTS),
                    )
            await self.assert_settled(conversation, generations, [])
        await shutdown()
