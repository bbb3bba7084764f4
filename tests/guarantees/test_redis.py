"""Two processes on one PostgreSQL and one Redis: what one writes, the other shows and stops."""

import threading
import time
from contextlib import ExitStack

import pytest
import redis

from tests.guarantees.clients import Person, check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import SECRET_KEY, WIDE_LIMITS, People
from tests.servers import RedisServer, UvicornSite
from tests.upstream import words_text

STOP = 1.5  # Seconds until a stop asked for in another process is answered.
TAKE_OVER = 15  # Seconds until the answers of a dead process have ended.
NOISE = 3  # Seconds that a busy machine may add to it.
PATIENCE = 10  # Seconds that anything waits for a Redis that is away.


class Pair:
    """Two sites that are one, and Ada at each."""

    def __init__(self, stack: ExitStack, database_url: str) -> None:
        self.redis = stack.enter_context(RedisServer())
        env = WIDE_LIMITS | {"SECRET_KEY": SECRET_KEY, "DATABASE_URL": database_url}
        env["REDIS_URL"] = self.redis.url
        self.a = stack.enter_context(UvicornSite(env=env))
        self.b = stack.enter_context(UvicornSite(env=env, upstream=self.a.upstream))
        people = People(self.a)
        stack.callback(people.close)
        self.ada_a = people.ada
        ada = people.ada
        self.ada_b = Person(self.b, name=ada.name, key=ada.key, session=ada.session)
        stack.callback(self.ada_b.http.close)


@pytest.fixture(scope="module")
def pair(postgres_server):
    """Whoever ends a part of it starts it again."""
    with ExitStack() as stack:
        yield Pair(stack, postgres_server.create_database("pair"))


class Reading(threading.Thread):
    """Follows a generation to its end."""

    def __init__(self, person: Person, generation: str) -> None:
        super().__init__()
        self.person, self.generation = person, generation
        self.events = []
        self.start()

    def run(self) -> None:
        with self.person.follow(self.generation) as stream:
            for event in stream:
                self.events.append(event)

    @property
    def text(self) -> str:
        return text_of([event for event in self.events if event.cursor is not None])

    def wait_for(self, length: int, seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while len(self.text) < length:
            assert time.monotonic() < deadline, f"{len(self.text)} characters after {seconds} s"
            time.sleep(0.02)

    def end(self, seconds: float) -> list:
        self.join(seconds)
        assert not self.is_alive()
        return self.events


def test_what_one_process_writes_the_other_shows_and_stops(pair):
    generation = pair.ada_a.ask("Count.", model="openai:words:60@200")["id"]
    events = Reading(pair.ada_b, generation).end(20)
    check_log(events)
    assert text_of(events) == words_text(60)
    assert pair.ada_a.streamed(generation) == pair.ada_b.streamed(generation) == events
    assert pair.ada_b.polled(generation, after=7) == events[7:]

    generation = pair.ada_a.ask("Count on.", model="openai:words:5000@100")
    reading = Reading(pair.ada_b, generation["id"])
    reading.wait_for(100)
    began = time.monotonic()
    assert pair.ada_b.stop(generation["id"])["status"] == "stopped"
    assert time.monotonic() - began < STOP
    check_log(reading.end(5))
    assert pair.ada_a.streamed(generation["id"]) == reading.events
    assert pair.ada_a.saved_text(generation) == reading.text


def test_a_redis_that_restarts_empty_costs_no_byte(pair):
    generation = pair.ada_a.ask("Count.", model="openai:words:600@100")["id"]
    here, there = Reading(pair.ada_a, generation), Reading(pair.ada_b, generation)
    there.wait_for(100)
    pair.redis.kill()
    time.sleep(2)
    pair.redis.start()
    check_log(here.end(40))
    check_log(there.end(5))
    assert here.events == there.events
    assert there.text == words_text(600)


def test_d07_a_full_redis_hangs_nobody_and_loses_nothing(pair):
    running = pair.ada_a.ask("Count.", model="openai:infinite@50")
    here, there = Reading(pair.ada_a, running["id"]), Reading(pair.ada_b, running["id"])
    there.wait_for(50)
    admin = redis.Redis.from_url(pair.redis.url)
    admin.config_set("maxmemory", "1")
    began = time.monotonic()
    accepted = pair.ada_b.ask("Another.", model="openai:words:3")
    assert time.monotonic() - began < 5
    end = here.end(PATIENCE + NOISE)[-1]
    assert (end.kind, end.fields["code"]) == ("failed", "storage")
    # What Redis did not take is not known elsewhere: then the saved message is.
    seen_there = there.end(PATIENCE + NOISE)[-1]
    assert seen_there == end or seen_there.fields["code"] == "events_expired"
    assert pair.ada_a.saved_text(running) == here.text
    while pair.ada_a.generation(accepted["id"])["status"] == "running":
        assert time.monotonic() - began < 2 * PATIENCE
        time.sleep(0.1)
    assert pair.ada_a.generation(accepted["id"])["error"]["code"] == "storage"
    admin.config_set("maxmemory", "0")
    admin.close()
    assert pair.ada_b.ended(pair.ada_a.ask("Again.", model="openai:words:3"))["status"] == "done"


def test_answers_of_a_killed_process_end_elsewhere_with_exactly_what_was_seen(pair):
    generation = pair.ada_a.ask("Count.", model="openai:words:5000@100")
    reading = Reading(pair.ada_b, generation["id"])
    reading.wait_for(300)
    pair.a.kill()
    try:
        check_log(reading.end(TAKE_OVER + NOISE))
    finally:
        pair.a.start()
    assert reading.events[-1].kind == "interrupted"
    found = pair.ada_b.generation(generation["id"])
    assert (found["status"], found["cursor"]) == ("interrupted", reading.events[-1].cursor)
    assert pair.ada_b.saved_text(found) == reading.text
    assert words_text(5000).startswith(reading.text)
    pair.ada_b.ended(pair.ada_b.ask("Go on.", conversation=found["conversation"]))
