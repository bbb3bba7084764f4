"""E11: a reader that changes its transport again and again reads one and the same answer."""

import hashlib
from itertools import cycle
from uuid import uuid4

import pytest

from tests.guarantees.clients import Person, check_log
from tests.guarantees.readers import Event, cut_events, text_of
from tests.guarantees.sites import site_with_people
from tests.servers import UvicornSite
from tests.upstream import words_text

EACH = 10


@pytest.fixture(scope="module", params=["daphne-sqlite", "uvicorn-postgres"])
def reader(request):
    if request.param == "daphne-sqlite":
        yield request.getfixturevalue("_shared")[1].ada
        return
    postgres = request.getfixturevalue("postgres_server")
    url = postgres.create_database(f"transports_{uuid4().hex}")
    with site_with_people(kind=UvicornSite, DATABASE_URL=url) as (_, people):
        yield people.ada


def by_socket(person: Person, generation: str, after: int) -> list[Event]:
    found: list[Event] = []
    with person.socket() as socket:
        socket.send("follow", generation=generation, after=after)
        for batch in socket.batches(generation):
            found += batch
            if len(found) >= EACH:
                break
    return found


def by_stream(person: Person, generation: str, after: int) -> list[Event]:
    found: list[Event] = []
    with person.follow(generation, after=after) as stream:
        for event in stream:
            found.append(event)
            if len(found) >= EACH:
                break
    return found


def by_polls(person: Person, generation: str, after: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < EACH and not (found and found[-1].is_terminal):
        answer = person.poll(generation, after=after, wait=10).raise_for_status()
        found += cut_events(answer.text)
        after = answer.json()["cursor"]
    return found


@pytest.mark.parametrize("state", ["running", "ended"])
def test_e11_switching_transports_every_ten_events_reads_the_same_answer(reader, state):
    generation = reader.ask("Count.", model="openai:words:150@40")["id"]
    whole = reader.streamed(generation) if state == "ended" else []
    events: list[Event] = []
    turns = 0
    for read in cycle((by_socket, by_stream, by_polls)):
        # No more than ten, though a batch may bring more: the rest is read again elsewhere.
        events += read(reader, generation, len(events))[:EACH]
        turns += 1
        if events[-1].is_terminal:
            break
    assert turns > 6
    check_log(events)
    assert events == (whole or reader.streamed(generation))
    digest = hashlib.sha256(text_of(events).encode()).hexdigest()
    assert digest == events[-1].fields["sha256"]
    assert text_of(events) == words_text(150) == reader.saved_text(reader.generation(generation))
