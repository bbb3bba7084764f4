"""
A process that calls what the site calls, with callers that leave at any moment.

``python -m tests.faults.storm <calls> <patience>`` prints as JSON how many calls were
answered, how many were left, and the answers that belong to another call.
"""

import asyncio
import json
import random
import sys
from typing import Any
from uuid import uuid4

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from chat.database import close_database_threads, in_database, in_transaction  # noqa: E402
from chat.eventlog import event_log  # noqa: E402
from chat.events import EventKind  # noqa: E402
from chat.models import Conversation  # noqa: E402
from tests.eventlog.rows import make_generation  # noqa: E402

AT_ONCE = 40


def echo(tag: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [tag])
        return str(cursor.fetchone()[0])


def write(owner_id: int, tag: str) -> str:
    made = Conversation.objects.create(owner_id=owner_id, title=tag)
    return Conversation.objects.get(pk=made.pk).title


class Storm:
    def __init__(self, calls: int, patience: float) -> None:
        self.patience = patience
        self.left = calls
        self.answered = 0
        self.cancelled = 0
        self.failed: list[str] = []
        self.wrong: list[tuple[str, str, str]] = []

    async def run(self) -> dict[str, Any]:
        self.generations = [await in_transaction(make_generation) for _ in range(5)]
        self.owner_id = self.generations[0].owner_id
        for generation in self.generations:
            await event_log().open(generation.pk)
        async with asyncio.TaskGroup() as callers:
            for _ in range(AT_ONCE):
                callers.create_task(self.call_again_and_again())
        for generation in self.generations:
            await self.check_log(generation.pk)
        await event_log().close()
        close_database_threads()
        names = ("answered", "cancelled", "wrong", "failed")
        return {name: getattr(self, name) for name in names}

    async def call_again_and_again(self) -> None:
        kinds = [self.read, self.write, self.append, self.read_log]
        if settings.REDIS_URL:
            from chat.redis import connect

            self.redis = connect()
            kinds = [self.redis_echo, self.redis_get]
        while self.left > 0:
            self.left -= 1
            kind = random.choice(kinds)
            tag = uuid4().hex
            task = asyncio.create_task(kind(tag))
            await asyncio.wait([task], timeout=random.uniform(0, self.patience))
            if not task.done() and random.random() < 0.7:
                task.cancel()
            await asyncio.wait([task])
            self.note(kind.__name__, tag, task)

    def note(self, kind: str, tag: str, task: "asyncio.Task[str]") -> None:
        if task.cancelled():
            self.cancelled += 1
        elif error := task.exception():
            self.failed.append(f"{kind}: {error!r}")
        else:
            self.answered += 1
            if task.result() != tag:
                self.wrong.append((kind, tag, task.result()))

    async def read(self, tag: str) -> str:
        return await in_database(echo, tag)

    async def write(self, tag: str) -> str:
        return await in_transaction(write, self.owner_id, tag)

    async def append(self, tag: str) -> str:
        generation = random.choice(self.generations)
        event = await event_log().append(generation.pk, EventKind.DELTA, text=tag)
        return str(event.data["text"])

    async def read_log(self, tag: str) -> str:
        generation = random.choice(self.generations)
        events = await event_log().read(generation.pk, after=0, block=0)
        cursors = [event.cursor for event in events]
        return tag if cursors == list(range(1, len(cursors) + 1)) else f"cursors {cursors}"

    async def redis_echo(self, tag: str) -> str:
        return str((await self.redis.execute_command("ECHO", tag)).decode())

    async def redis_get(self, tag: str) -> str:
        async with self.redis.pipeline(transaction=False) as pipeline:
            found = await pipeline.set(tag, tag, ex=60).get(tag).execute()
        return str(found[1].decode())

    async def check_log(self, generation_id: Any) -> None:
        """What is kept in memory must be what is stored, whoever left meanwhile."""
        from chat.eventlog import storage

        kept = await event_log().settled(generation_id)
        stored = await in_database(storage.fetch_all, generation_id)
        if [event.json for event in kept] != [event.json for event in stored]:
            self.wrong.append(("log", str(generation_id), "memory and rows differ"))


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    print(json.dumps(asyncio.run(Storm(int(sys.argv[1]), float(sys.argv[2])).run())))  # noqa: T201
