"""Flowno's terminal chat, its HTTP client unchanged; numbers are those of the checklist 3.3."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.guarantees.sites import People, site_with_people
from tests.servers import BASE_DIR, DaphneSite, Site, UvicornSite
from tests.upstream import words_text

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
PREFIXES = ("/v1", "/openai/v1")
RUNS = 20
# A response is taken in reads of this many bytes, and of each read one HTTP chunk.
READ = 1024


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Site, People]]:
    with site_with_people(kind=request.param) as served:
        yield served


def run(site, *prompts, key, prefix="/v1", model="openai:fake"):
    """Run the program to the end of its input. It prints each answer behind its own ``> ``."""
    command = [sys.executable, "-m", "tests.clients.flowno_chat", f"--url={site.url}{prefix}"]
    return subprocess.run(
        [*command, f"--model={model}"],
        cwd=BASE_DIR,
        env=os.environ | {"GROQ_API_KEY": key},
        input="".join(f"{prompt}\n" for prompt in prompts),
        capture_output=True,
        text=True,
        timeout=60,
    )


def answers(done):
    """Return what was printed for each prompt, the end of the input having ended the program."""
    assert done.stderr.rstrip().endswith("EOFError: EOF when reading a line"), done.stderr
    first, *printed, last = done.stdout.split("> ")
    assert (first, last) == ("", "")
    return [text.removesuffix("\n") for text in printed]


def request(site, person, *, agent="Flowno/0.1", **body):
    """Return the bytes of Flowno's own request, header by header."""
    data = json.dumps({"messages": [SYSTEM, {"role": "user", "content": "Hello"}]} | body).encode()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"content-length: {len(data)}",
        "host: 127.0.0.1",
        f"user-agent: {agent}",
        "accept-encoding: gzip, deflate",
        "connection: close",
        "content-type: application/json",
        f"authorization: Bearer {person.key}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def exchange(site, person, **body):
    """Return the head of the response, its HTTP chunks, and the seconds from the end to the FIN."""
    received, ended = b"", None
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        connection.sendall(request(site, person, **body))
        while data := connection.recv(65536):
            received += data
            if ended is None and b"[DONE]" in received:
                ended = time.monotonic()
        closed = time.monotonic()
    head, _, rest = received.partition(b"\r\n\r\n")
    return head.decode().lower(), list(http_chunks(rest)), closed - (ended or closed)


def http_chunks(body):
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        yield body[:length].decode()
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


def choices(blocks):
    """Return the choice of every block of data that is JSON."""
    found = re.findall(r"^data: (\{.*\})$", "".join(blocks), re.MULTILINE)
    return [json.loads(data)["choices"][0] for data in found]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_3_3_01_both_addresses_answer_it(site, ada, prefix):
    site.upstream.script("words:5")
    assert answers(run(site, "Hello", key=ada.key, prefix=prefix)) == [words_text(5)]


def test_3_3_01_a_slash_at_the_end_is_taken_and_the_host_needs_no_port(site, ada):
    headers = {"Authorization": f"Bearer {ada.key}", "Host": "127.0.0.1"}
    body = {"messages": [{"role": "user", "content": "Hello"}], "model": "openai:words:3"}
    for prefix in PREFIXES:
        address = f"{site.url}{prefix}/chat/completions"
        for path in (address, f"{address}/"):
            answer = httpx.post(path, json=body, headers=headers)
            assert answer.json()["choices"][0]["message"]["content"] == words_text(3)
        listed = httpx.get(f"{site.url}{prefix}/models/", headers=headers)
        assert listed.json()["object"] == "list"


@pytest.mark.parametrize("mode", ["words:30", "reasoning:reasoning", "null-content"])
def test_3_3_02_every_piece_but_the_last_has_text(site, ada, mode):
    _, chunks, _ = exchange(site, ada, model=f"openai:{mode}", stream=True)
    *pieces, last = choices(chunks)
    assert len(pieces) > 1
    assert all(type(piece["delta"]["content"]) is str for piece in pieces)
    assert [piece["finish_reason"] for piece in pieces] == [None] * len(pieces)
    assert last["finish_reason"] == "stop"
    assert answers(run(site, "Hello", key=ada.key, model=f"openai:{mode}")) == [
        "".join(piece["delta"]["content"] for piece in pieces)
    ]


def test_3_3_03_the_connection_is_closed_with_the_answer(site, ada):
    for _ in range(3):
        _, chunks, seconds = exchange(site, ada, model="openai:words:30", stream=True)
        assert chunks[-2].endswith("data: [DONE]\n\n")
        assert '"finish_reason":"stop"' in chunks[-2]
        assert seconds < 1.0  # Kept open, it would be closed after half a minute or never.


def test_3_3_04_the_body_is_chunked_and_not_compressed(site, ada):
    head, chunks, _ = exchange(site, ada, model="openai:words:30", stream=True)
    assert "transfer-encoding: chunked" in head
    assert "content-type: text/event-stream\r\n" in f"{head}\r\n"
    assert "gzip" not in head
    assert "content-length" not in head
    assert "".join(piece["delta"].get("content", "") for piece in choices(chunks)) == words_text(30)


def test_3_3_05_two_hundred_tokens_at_once_all_arrive(site, ada):
    site.upstream.script(*["words:200"] * RUNS)
    for said in answers(run(site, *["Again"] * RUNS, key=ada.key)):
        assert said == words_text(200)


def test_3_3_05_no_two_writes_fit_into_one_read(site, ada):
    # Then it does not matter how late the client reads. A quick test could not tell.
    options = {"model": "openai:words:30@50", "stream": True}
    _, chunks, _ = exchange(site, ada, **options)
    *written, end = chunks
    assert end == ""
    assert len(written) > 3
    assert all(len(chunk) >= 2 * READ for chunk in written)
    _, others, _ = exchange(site, ada, agent="curl/8", **options)
    assert all(len(chunk) < READ for chunk in others)


def test_3_3_06_a_model_that_is_named_in_its_code_is_the_sites_own(site, ada):
    site.upstream.script("echo")
    model = "llama-3.3-70b-versatile"
    assert answers(run(site, "Hello", key=ada.key, model=model)) == ["Hello"]
    assert site.upstream.journal[-1]["model"] == "fake"
    headers = {"Authorization": f"Bearer {ada.key}"}
    body = {"messages": [{"role": "user", "content": "Hello"}], "model": model}
    refused = httpx.post(f"{site.url}/v1/chat/completions", json=body, headers=headers)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"


def test_3_3_07_a_refused_key_is_shown_in_the_terminal(site):
    done = run(site, "Hello", key="wrong")
    assert done.returncode != 0
    assert "Status: HTTP/1.1 401 Unauthorized" in done.stderr
    assert "invalid_api_key" in done.stderr
    assert site.upstream.journal == []


def test_3_3_08_two_turns_show_both_answers_and_the_second_tells_the_first(site, ada):
    site.upstream.script("words:50", "echo")
    said = answers(run(site, "A first prompt", "A second one", key=ada.key))
    assert said == [words_text(50), "A second one"]
    first, second = (entry["body"]["messages"] for entry in site.upstream.journal)
    assert first == [SYSTEM, {"role": "user", "content": "A first prompt"}]
    told = [{"role": "assistant", "content": said[0]}, {"role": "user", "content": "A second one"}]
    assert second == [*first, *told]
    # One conversation, which every other client can go on with.
    found = ada.http.get("/conversations/", params={"q": "A first prompt"}).json()["items"]
    assert len(found) == 1
    assert len(ada.messages(found[0]["id"])) == 5
