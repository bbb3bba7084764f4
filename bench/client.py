"""
The load: readers in a process of their own.

``python -m bench.client`` takes one job as a line of JSON on stdin and prints
its result as a line of JSON. A job that holds sockets open prints ``ready``
first and goes on when another line arrives.
"""

import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Any

from bench import stamps
from bench.dialects import DIALECTS, Socket
from bench.reader import Answer, Reader, Target
from bench.wire import Refused

CONNECT_AT_ONCE = 50
GOLDEN = 0.618034
LAST_CALL = 20  # Seconds before the end in which an answer that is not complete is let go.


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do to a server. ``readers`` are connections, one per user in turn."""

    kind: str
    dialect: str
    port: int
    keys: tuple[str, ...] = ()
    readers: int = 1
    tokens: int = 1
    rate: float = 50
    spread: float = 0
    hold: float = 0
    timeout: float = 200

    def reader(self, index: int) -> Reader:
        key = self.keys[index % len(self.keys)] if self.keys else ""
        return DIALECTS[self.dialect](Target(self.port, key))

    @property
    def prompt(self) -> str:
        return stamps.prompt(tokens=self.tokens, rate=self.rate, hold=self.hold)


Outcome = Answer | BaseException


async def streams(job: Job) -> list[Outcome]:
    """Ask on every connection, the starts spread evenly over ``spread`` seconds."""

    async def one(index: int) -> Answer:
        # Even steps could be a multiple of the tokens' interval, and all tokens fall together.
        await asyncio.sleep(job.spread * (index + index * GOLDEN % 1) / job.readers)
        reader = job.reader(index)
        await reader.connect()
        try:
            async with asyncio.timeout(job.timeout - LAST_CALL):
                return await reader.answer(job.prompt, job.tokens)
        except TimeoutError:
            # What came was paid for, and its age is what there is to say about this server.
            reader.result.is_late = True
            reader.result.wire_bytes = reader.connection.wire_bytes
            return reader.result
        finally:
            reader.close()

    return await gathered(job, (one(index) for index in range(job.readers)))


async def sequence(job: Job) -> list[Outcome]:
    """Ask one question after another on one connection."""
    reader = job.reader(0)
    await reader.connect()
    outcomes: list[Outcome] = []
    for _ in range(job.readers):
        try:
            async with asyncio.timeout(job.timeout):
                outcomes.append(await reader.answer(job.prompt, job.tokens))
        except (Refused, OSError, TimeoutError) as exc:
            outcomes.append(exc)
            break
    reader.close()
    return outcomes


async def starts(job: Job) -> list[Outcome]:
    """Ask on every connection, all open by then, one soon after the other."""
    readers = [job.reader(index) for index in range(job.readers)]
    await connect(readers)
    await wait_for_line()

    async def one(index: int, reader: Reader) -> Answer:
        await asyncio.sleep(job.spread * index / job.readers)
        return await reader.answer(job.prompt, job.tokens)

    try:
        return await gathered(job, (one(*each) for each in enumerate(readers)))
    finally:
        for reader in readers:
            reader.close()


async def idle(job: Job) -> list[Outcome]:
    """Hold connections open until a line arrives on stdin."""
    readers = [job.reader(index) for index in range(job.readers)]
    await connect(readers)
    await wait_for_line()
    for reader in readers:
        if reader.connection.closed.done():
            return [Refused("an idle connection was closed")]
        reader.close()
    return []


async def fanout(job: Job) -> list[Outcome]:
    """Let every connection but the first follow what the first one asks."""
    readers = [job.reader(0) for _ in range(job.readers)]
    await connect(readers)
    await wait_for_line()
    writer, *followers = (reader for reader in readers if isinstance(reader, Socket))
    writer.start(job.tokens)
    await writer.ask(job.prompt)
    await writer.first_of(writer.accepted, "closed before the question was accepted")
    for follower in followers:
        follower.follow(writer.accepted.result(), job.tokens)
    try:
        return await gathered(job, (reader.finish() for reader in (writer, *followers)))
    finally:
        for reader in readers:
            reader.close()


async def connect(readers: list[Reader]) -> None:
    at_once = asyncio.Semaphore(CONNECT_AT_ONCE)

    async def one(reader: Reader) -> None:
        async with at_once:
            await reader.connect()

    await asyncio.gather(*map(one, readers))


async def wait_for_line() -> None:
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def gathered(job: Job, work: Iterable[Awaitable[Answer]]) -> list[Outcome]:
    """Return each answer or the reason why there is none."""

    async def timed(one: Awaitable[Answer]) -> Answer:
        async with asyncio.timeout(job.timeout):
            return await one

    return await asyncio.gather(*map(timed, work), return_exceptions=True)


def percentile(ordered: list[int], share: float) -> float:
    """Return a percentile in milliseconds."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000 if ordered else 0.0


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    answers = [o for o in outcomes if isinstance(o, Answer)]
    failures = Counter(f"{type(o).__name__}: {o}" for o in outcomes if not isinstance(o, Answer))
    failures["not complete in time, its tokens count"] = sum(a.is_late for a in answers)
    ages = sorted(age for answer in answers for age in answer.ages)
    first = sorted(answer.first_after for answer in answers if answer.ages)
    first_age = sorted(answer.first_age for answer in answers if answer.ages)
    return {
        "answers": sum(not answer.is_late for answer in answers),
        "failures": dict((+failures).most_common(3)),
        "tokens": len(ages),
        "p50": percentile(ages, 0.5),
        "p99": percentile(ages, 0.99),
        "first": percentile(first, 0.5),
        "first_age": percentile(first_age, 0.5),
        "wire_bytes": sum(answer.wire_bytes for answer in answers),
        "text_bytes": len(ages) * stamps.TOKEN_BYTES,
    }


KINDS = {"streams": streams, "sequence": sequence, "starts": starts, "idle": idle, "fanout": fanout}


def main() -> None:
    # A collector's pause would be counted as latency of the server under test.
    gc.disable()
    job = Job(**json.loads(sys.stdin.readline()))
    started = time.monotonic()
    try:
        outcomes = asyncio.run(KINDS[job.kind](job))
    except (Refused, OSError, TimeoutError) as exc:
        outcomes = [exc]
    seconds = time.monotonic() - started
    print(json.dumps(summary(outcomes) | {"seconds": seconds, "cpu": time.process_time()}))


if __name__ == "__main__":
    main()
