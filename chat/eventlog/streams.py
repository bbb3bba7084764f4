"""
Event logs as Redis Streams: the commands of `RedisEventLog`.

A log is a stream, whose entry ``<cursor>-0`` is the event of that cursor, and
a hash that says who writes it: the epoch, and the run of the Redis server that
the writer has last seen the whole log in. Both have one hash tag.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from chat.errors import Fenced
from chat.events import Event, EventKind
from chat.redis import connect

logger = logging.getLogger(__name__)

# What Redis does while it is away, full, loading or read-only.
Unavailable = (RedisError, OSError, TimeoutError)

# More events than any answer can have that does not come letter by letter.
MAX_EVENTS = 1_000_000
# In one command: Redis does nothing else meanwhile.
MAX_PUSH = 5000

FENCED, LOST = -1, -2

# Adds those of the given events that the stream lacks and returns its last cursor, so that a
# repeated call does no harm and the writer learns of what Redis has lost. Without ``restore`` it
# does not begin a stream, for the one that should be there may belong to a later writer.
_PUSH = """
local epoch, restore, run, ends = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[6] == '1'
local owner = redis.call('HMGET', KEYS[2], 'epoch', 'run')
local owned_by = tonumber(owner[1] or -1)
if owned_by > epoch then return -1 end
if owned_by < epoch then
  if restore ~= '1' then return -2 end
  redis.call('DEL', KEYS[1])
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
last = last and tonumber(string.match(last[1], '^%d+')) or 0
local cursor = tonumber(ARGV[7])  -- Where the given events begin.
local is_new = last == 0
for i = 8, #ARGV, 2 do
  if cursor == last + 1 then
    local id = string.format('%d-0', cursor)
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], id, ARGV[i], ARGV[i + 1])
    last = cursor
  end
  cursor = cursor + 1
end
if last + 1 < cursor then run = '' end  -- Not whole.
if owned_by < epoch or owner[2] ~= run then
  redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'run', run)
end
if is_new or ends then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return last
"""

# A log that no writer has seen whole since Redis last started may lack its end.
_OPEN = """
local owner = redis.call('HMGET', KEYS[2], 'epoch', 'run')
if tonumber(owner[1] or -1) > tonumber(ARGV[1]) then return -1 end
if owner[2] ~= ARGV[2] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'run', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('XRANGE', KEYS[1], '-', '+')
"""

_SCRIPTS = (_PUSH, _OPEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Events that follow each other, for one log, and what Redis must know to take them."""

    generation_id: UUID
    epoch: int
    after: int
    events: Sequence[Event]  # Those past ``after``.
    may_restore: bool
    seconds_to_live: float  # From now, for a new log and for one that ends.


class Streams:
    """
    Redis as the event logs need it. Methods raise what `Unavailable` lists.

    Call them in tasks of their own: a command that is cancelled costs its
    connection.
    """

    def __init__(self) -> None:
        self._client = connect()
        # XREAD blocks its connection, and must not wait for another's commands.
        self._reader = connect()
        self._is_closed = False
        self._run = ""
        self._scripts: dict[str, str] = {}

    async def close(self) -> None:
        """End what is asked just now, and ask nothing any more."""
        self._is_closed = True
        await self._client.aclose()
        await self._reader.aclose()

    async def prepare(self) -> None:
        """Learn to know the server, at first and whenever it may be another."""
        async with self._pipeline() as pipeline:
            pipeline.info("server")
            for source in _SCRIPTS:
                pipeline.script_load(source)
            info, *hashes = await pipeline.execute()
        self._run = info.get("run_id", "")
        self._scripts = dict(zip(_SCRIPTS, hashes, strict=True))

    async def push(self, pushes: Sequence[Push]) -> list[int | Exception]:
        """
        Add events to many logs at once.

        Return, for each, the cursor of the last event that Redis has now;
        FENCED, LOST, or why Redis has refused.
        """
        if not self._scripts:
            await self.prepare()
        outcomes = await self._push(pushes)
        if any(isinstance(outcome, NoScriptError) for outcome in outcomes):
            await self.prepare()  # It has been restarted.
            outcomes = await self._push(pushes)
        return outcomes

    async def _push(self, pushes: Sequence[Push]) -> list[int | Exception]:
        async with self._pipeline() as pipeline:
            for push in pushes:
                pipeline.evalsha(self._scripts[_PUSH], 2, *self._arguments(push))
            outcomes: list[int | Exception] = await pipeline.execute(raise_on_error=False)
            return outcomes

    async def open(self, generation_id: UUID, epoch: int, seconds: float) -> list[Event]:
        """Raise the epoch of a log, and return its events; none if they are not known whole."""
        try:
            await self.prepare()
        except RedisConnectionError:
            await self._drop_connections()
            await self.prepare()
        found = await self._client.evalsha(
            self._scripts[_OPEN],
            2,
            _stream(generation_id),
            _owner(generation_id),
            epoch,
            self._run,
            _milliseconds(seconds),
        )
        if found == FENCED:
            raise Fenced
        return [_event(entry, *fields) for entry, fields in found]

    async def load(self, generation_id: UUID) -> tuple[list[Event], bool]:
        """Return the events of a log, and whether somebody has opened it."""
        try:
            return await self._load(generation_id)
        except RedisConnectionError:
            await self._drop_connections()
            return await self._load(generation_id)

    async def _load(self, generation_id: UUID) -> tuple[list[Event], bool]:
        async with self._pipeline(transaction=True) as pipeline:
            pipeline.xrange(_stream(generation_id))
            pipeline.exists(_owner(generation_id))
            found, is_open = await pipeline.execute()
        return _events(found), bool(is_open)

    async def wait(self, after: Mapping[UUID, int], seconds: float) -> dict[UUID, list[Event]]:
        """Return the events past a cursor of each log that has any, waiting for the first."""
        streams: dict[Any, Any] = {_stream(pk): f"{cursor}-0" for pk, cursor in after.items()}
        found: Any = await self._reader.xread(streams, block=_milliseconds(seconds))
        by_stream = {_stream(pk).encode(): pk for pk in after}
        pairs = found.items() if isinstance(found, dict) else found or ()
        return {by_stream[key]: _events(_flat(entries)) for key, entries in pairs}

    async def delete(self, generation_ids: Sequence[UUID]) -> None:
        async with self._pipeline() as pipeline:
            for generation_id in generation_ids:
                pipeline.delete(_stream(generation_id), _owner(generation_id))
            await pipeline.execute()

    async def _drop_connections(self) -> None:
        # One that Redis has closed is found out by using it; then the idle others are stale too.
        await self._client.connection_pool.disconnect(inuse_connections=False)

    def _pipeline(self, *, transaction: bool = False) -> Pipeline:
        if self._is_closed:
            raise RedisConnectionError("The event log is closed.")
        return self._client.pipeline(transaction=transaction)

    def _arguments(self, push: Push) -> list[Any]:
        ends = bool(push.events) and push.events[-1].kind.is_terminal
        arguments = [
            _stream(push.generation_id),
            _owner(push.generation_id),
            push.epoch,
            "1" if push.may_restore else "0",
            self._run,
            _milliseconds(push.seconds_to_live),
            MAX_EVENTS,
            "1" if ends else "0",
            push.after + 1,
        ]
        for event in push.events:
            arguments += (event.kind.value, event.json)
        return arguments


def _stream(generation_id: UUID) -> str:
    return f"chat:{{{generation_id}}}:events"


def _owner(generation_id: UUID) -> str:
    return f"chat:{{{generation_id}}}:writer"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _flat(entries: Any) -> Any:
    # With Redis's newer protocol, some releases of the client nest them once more.
    return entries[0] if entries and isinstance(entries[0], list) else entries


def _events(entries: Any) -> list[Event]:
    return [_event(entry, *next(iter(fields.items()))) for entry, fields in entries]


def _event(entry: bytes, kind: bytes, data: bytes) -> Event:
    return Event(
        cursor=int(entry.partition(b"-")[0]),
        kind=EventKind(kind.decode()),
        data=orjson.loads(data),
        json=data.decode(),
    )
