"""The AI SDK's WebSocket transport; numbers are those of the checklist 4.7."""

import json
import re
from contextlib import contextmanager
from itertools import pairwise

import openai
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.dialects.ai_sdk import Caller, Client, text_of, ui
from tests.guarantees.readers import text_of as text_of_events
from tests.upstream import words_text

AT_ONCE = 5.0
LONG = "words:150@100"


@pytest.fixture(scope="module")
def dialogue(node):
    with node.open("ai_sdk.mjs", 7) as dialogue:
        yield dialogue


@pytest.fixture
def client(dialogue, site, ada):
    client = Client(dialogue, site, ada)
    yield client
    client.hang_up()


@pytest.fixture
def caller(site, ada):
    return Caller(site, ada)


class Socket:
    """The transport's frames, written by hand."""

    def __init__(self, connection):
        self.connection = connection

    def send(self, kind, request_id="r", **fields):
        self.connection.send(json.dumps({"type": kind, "requestId": request_id} | fields))

    def ask(self, chat_id, *messages, request_id="r", model="words:3", **fields):
        sent = {"id": chat_id, "messages": messages, "trigger": "submit-message", "headers": {}}
        self.send("send", request_id, **sent | {"body": {"model": f"openai:{model}"}} | fields)

    def receive(self):
        return json.loads(self.connection.recv(timeout=20))

    def until(self, *kinds, request_id="r"):
        """Return the frames for a request, up to the first of those types."""
        found = []
        while not found or found[-1]["type"] not in kinds:
            frame = self.receive()
            if frame["requestId"] == request_id:
                found.append(frame)
        return found


@contextmanager
def open_socket(site, person=None, **headers):
    if person:
        headers["Authorization"] = f"Bearer {person.key}"
    options = {"compression": None, "max_size": None, "proxy": None}
    with connect(f"{site.ws_url}/ws/ai/", additional_headers=headers, **options) as connection:
        yield Socket(connection)


@pytest.fixture
def socket(site, ada):
    with open_socket(site, ada) as socket:
        yield socket


def chunks(frames):
    return [frame["chunk"] for frame in frames if frame["type"] == "chunk"]


def deltas(frames):
    return "".join(c["delta"] for c in chunks(frames) if c["type"] == "text-delta")


def sequences(frames):
    return [frame["sequence"] for frame in frames if frame["type"] == "chunk"]


# The checklist --------------------------------------------------------------------


def test_4_7_10_an_answer_comes_in_the_transports_frames_alone(client, ada):
    chat = client.socket_chat(keepFrames=True)
    shown = chat.ask("Hello", model="words:30")
    assert (shown["status"], shown["error"]) == ("ready", None)
    answer = shown["messages"][-1]
    assert text_of(answer) == words_text(30)
    assert answer["metadata"]["usage"]["totalTokens"] == 37
    ada.conversation()  # News for every socket of hers, which are no frames of this one.
    assert chat.ask("Again", model="words:3")["status"] == "ready"
    frames = client.frames()
    requests = {frame["requestId"] for frame in frames}
    assert len(requests) == 2
    for request in requests:
        own = [frame for frame in frames if frame["requestId"] == request]
        assert [own[0]["type"], own[-1]["type"]] == ["start", "end"]
        assert {frame["type"] for frame in own[1:-1]} == {"chunk"}
        assert sequences(own) == list(range(len(own) - 2))


def test_4_7_10_two_requests_on_one_socket_are_interleaved(client):
    chats = [client.socket_chat(keepFrames=True) for _ in range(2)]
    prompts = [" ".join(f"chat{number}word{i}" for i in range(60)) for number in range(2)]
    for chat, prompt in zip(chats, prompts, strict=True):
        chat.send(prompt, model="echo@100")
    assert [text_of(chat.end()["messages"][-1]) for chat in chats] == prompts
    order = [frame["requestId"] for frame in client.frames() if frame["type"] == "chunk"]
    changes = sum(1 for one, other in pairwise(order) if one != other)
    assert changes > 3


def test_4_7_10_a_client_that_comes_back_reads_on_from_the_beginning(client, site, ada):
    chat = client.socket_chat()
    chat.send("Hello", model=LONG)
    shown = chat.until(50)
    client.hang_up()
    assert chat.end()["status"] == "error"
    again = client.socket_chat(chat.id, messages=shown["messages"])
    again.resume()
    assert again.until(100)["status"] == "streaming"
    ended = again.end()
    assert ended["status"] == "ready"
    assert [text_of(message) for message in ended["messages"]] == ["Hello", words_text(150)]
    assert ended["messages"][-1]["id"] == shown["messages"][-1]["id"]
    again.resume()
    assert again.end() == ended  # Nothing is being written any more.


def test_4_7_10_stop_stops_the_answer(client, caller, site, ada):
    chat = client.socket_chat()
    chat.send("Hello", model="infinite@50")
    chat.until(30)
    shown = chat.stop()
    assert shown["status"] == "ready"
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)
    generation = ada.ended(ada.generation(shown["messages"][-1]["metadata"]["generation"]))
    assert generation["status"] == "stopped"
    assert ada.saved_text(generation).startswith(text_of(shown["messages"][-1]))
    assert caller.call("GET", f"/chat/{chat.id}/stream").status_code == 204
    # The socket goes on.
    assert client.socket_chat().ask("Hello", model="words:3")["status"] == "ready"


def test_4_7_10_an_answer_given_again_stands_beside_the_earlier_one(client, ada):
    chat = client.socket_chat()
    first = chat.ask("Hello", model="words:3")["messages"][-1]
    chat.regenerate(model="words:5")
    again = chat.end()["messages"][-1]
    rows = ada.messages(first["metadata"]["conversation"])
    assert [row["id"] for row in rows[1:]] == [first["id"], again["id"]]
    assert rows[1]["parent"] == rows[2]["parent"]


def test_4_7_10_a_failure_is_told_and_ends_only_its_request(client):
    chat, other = client.socket_chat(), client.socket_chat()
    other.send("Hello", model=LONG)
    shown = chat.ask("Hello", model="error-after:3")
    assert (shown["status"], text_of(shown["messages"][-1])) == ("error", words_text(3))
    assert shown["errors"] == [shown["error"]]
    refused = client.socket_chat().ask("Hello", body={"model": "nothing"})
    assert "nothing" in refused["error"]
    assert text_of(other.end()["messages"][-1]) == words_text(150)


def test_a_conversation_begun_elsewhere_is_read_and_stopped_here(client, site, ada, bob, caller):
    official = openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=0)
    with official:
        stream = official.chat.completions.create(
            model="openai:infinite@50",
            messages=[{"role": "user", "content": "Hello"}],
            stream=True,
        )
        pk = re.sub(r"(.{8})(.{4})(.{4})(.{4})", r"\1-\2-\3-\4-", next(iter(stream)).id[9:])
        generation = ada.generation(pk)
        with ada.follow(pk) as events:
            native = iter(events)
            seen = [next(native), next(native)]
            chat = client.socket_chat(generation["conversation"])
            chat.resume()
            chat.until(30)
            shown = chat.stop()
            seen += list(native)
        rest = list(stream)
    assert seen[-1].kind == "stopped"
    assert rest[-1].choices[0].finish_reason == "stop"
    text = text_of_events(seen)
    assert text.startswith(text_of(shown["messages"][-1]))
    assert ada.saved_text(generation) == text
    # It goes on here as well, over HTTP, under the same id; for others it is not there.
    prompt = ui("And again")
    caller.ask(generation["conversation"], prompt, model="words:3")
    assert len(ada.messages(generation["conversation"])) == 4
    assert Caller(site, bob).ask(generation["conversation"], prompt)["metadata"][
        "conversation"
    ] not in {generation["conversation"]}


# Frames by hand -----------------------------------------------------------------------


def test_a_reader_gets_what_comes_after_what_it_has_seen(socket):
    socket.ask("seen", ui("Hello"), model=LONG)
    whole = socket.until("chunk")
    socket.send("resume", "again", id="seen", lastSequence=2)
    frames = socket.until("end", request_id="again")
    assert frames[0]["type"] == "start"
    assert sequences(frames) == list(range(3, 3 + len(sequences(frames))))
    socket.send("resume", "late", id="seen")
    assert socket.until("no-active", request_id="late")
    assert whole[1]["chunk"]["type"] == "start"


def test_chats_that_are_not_there_and_those_of_others_are_answered_alike(socket, site, bob):
    socket.ask("mine", ui("Hello"), model="infinite@50")
    socket.until("chunk")
    with open_socket(site, bob) as other:
        for chat_id in ("mine", "nothing"):
            other.send("resume", id=chat_id)
            assert other.receive() == {"type": "no-active", "requestId": "r"}
        other.send("abort")  # Of a request that is not on this socket.
        other.ask("mine", ui("Hello"))
        assert deltas(other.until("end")) == words_text(3)
    socket.send("abort")
    socket.send("resume", "x", id="mine")
    assert socket.until("no-active", "end", request_id="x")


def test_a_request_that_is_given_up_before_its_turn_asks_nothing(socket, site, ada):
    for number in range(3):
        socket.ask("lane", ui(f"Lane {number}"), request_id=f"r{number}", model="infinite@50")
    socket.send("abort", "r2")
    socket.send("abort", "r1")
    socket.send("abort", "r0")
    socket.ask("lane", ui("Last"), request_id="last")
    assert deltas(socket.until("end", request_id="last")) == words_text(3)


def test_what_is_no_frame_is_refused_and_what_names_a_request_is_told_so(site, ada):
    with open_socket(site, ada) as socket:
        socket.send("ping")
        frame = socket.receive()
        assert (frame["type"], frame["requestId"]) == ("error", "r")
        socket.ask("c" * 300, ui("Hello"))
        assert "id" in socket.receive()["errorText"]
        socket.ask("c", ui("Hello"))
        assert socket.until("end")
    for raw in ("not JSON", "[]", '{"type":"abort"}', b"{}"):
        with open_socket(site, ada) as socket:
            socket.connection.send(raw)
            with pytest.raises(ConnectionClosed):
                socket.receive()
            assert socket.connection.close_code == 1008


def test_a_conversation_longer_than_a_native_frame_can_be_told(socket):
    long = [ui("x" * 1000, role="assistant") for _ in range(400)]
    socket.ask("long", *long, ui("Hello"))
    assert deltas(socket.until("end")) == words_text(3)


def test_a_frame_over_the_bound_of_bodies_is_closed_with_1009(socket):
    socket.ask("long", ui("x" * 1_100_000))
    with pytest.raises(ConnectionClosed):
        socket.receive()
    assert socket.connection.close_code == 1009


def test_a_stranger_is_closed_by_name(site):
    with open_socket(site, Authorization="Bearer sk-wrong") as socket:
        with pytest.raises(ConnectionClosed):
            socket.receive()
        assert socket.connection.close_code == 4401


def test_a_socket_can_ask_with_a_key_to_ask_once(socket, site):
    for request_id in ("a", "b"):
        socket.ask(
            "once", ui("Once"), request_id=request_id, headers={"idempotency-key": "socket-once"}
        )
        assert socket.until("end", request_id=request_id)
    assert len(site.upstream.journal) == 1
