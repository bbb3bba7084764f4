"""The raw dialects with their clients; numbers are those of the checklists 2.6 and 4.7."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import asked
from tests.proxy import Proxy
from tests.upstream import words_text

FLAGS = ["--experimental-eventsource"]
SOURCES = ("eventsource", "undici", "node")
GETS = {"/stream-with-get": "question", "/ask": "msg"}
POSTS = ("/stream-with-post", "/stream")
# Generous: it only tells "at once" from "when the answer has ended".
AT_ONCE = 5.0


def headers(person: Person, **more: str) -> dict[str, str]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"Authorization": f"Bearer {person.key}"} | named


def get(person: Person, path: str, prompt: str = "Hello", **more: str) -> httpx.Response:
    query = {GETS[path.rstrip("/")]: prompt}
    url = person.site.url + path
    return httpx.get(url, params=query, headers=headers(person, **more), timeout=30)


def post(person: Person, path: str, body: Any = None, **more: str) -> httpx.Response:
    body = {"question": "Hello"} if body is None else body
    url = person.site.url + path
    return httpx.post(url, json=body, headers=headers(person, **more), timeout=30)


def streams(person: Person) -> Iterator[tuple[str, httpx.Response]]:
    """Yield an answer from every address at which one is streamed as events."""
    for slash in ("", "/"):
        for path in GETS:
            yield path, get(person, path + slash)
        for path in POSTS:
            yield path, post(person, path + slash)


def blocks(stream: str) -> list[str]:
    assert stream.endswith("\n\n")
    return stream.split("\n\n")[:-1]


def text_of(stream: str) -> str:
    """Return the text that a client of the standard appends, without events that have a name."""
    found = []
    for block in blocks(stream):
        data = re.findall(r"^data: (.*)$", block, re.MULTILINE)
        if data and not block.startswith("event: ") and data != ["[DONE]"]:
            found.append("\n".join(data))
    return "".join(found)


def ids(stream: str) -> list[str]:
    return re.findall(r"^id: (.*)$", stream, re.MULTILINE)


@pytest.fixture
def sources(node, site, ada):
    """A function that lets EventSources ask and read until they are closed."""

    def run(path: str, *ends: str, base: str = site.url) -> list[dict[str, Any]]:
        url = f"{base}{path}?{GETS[path.rstrip('/')]}="
        args = (url, ada.key, ends)
        found = node.run("text_event_source.mjs", *args, flags=FLAGS)
        assert len(found) == len(SOURCES) * len(ends)
        return found

    return run


@pytest.fixture
def fetcher(node, site, ada):
    """A function that lets fetch-event-source post a question, or ask by address, and read."""

    def run(prompt: str, *, by: str = "POST", base: str = site.url, **options: Any) -> Any:
        if by == "GET":
            url = f"{base}/stream-with-get?question={quote(prompt)}"
            body = None
        else:
            url, body = f"{base}/stream-with-post", {"question": prompt}
        (seen,) = node.run("text_fetch_event_source.mjs", url, ada.key, {"body": body} | options)
        return seen

    return run


def asked_once(site, prompt: str) -> bool:
    return len(asked(site, prompt)) == 1


def wait_until(condition: Any, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# 2.6: event streams of text ------------------------------------------------------------


def test_2_6_01_the_head_is_what_clients_compare(site, ada):
    site.upstream.script(*["words:3"] * 8)
    for path, response in streams(ada):
        assert (path, response.status_code, len(response.history)) == (path, 200, 0)
        head = {name.lower(): value for name, value in response.headers.raw}
        assert head[b"content-type"] == b"text/event-stream"
        assert head[b"cache-control"] == b"no-cache, no-transform"
        assert head[b"x-accel-buffering"] == b"no"
        assert b"content-length" not in head
        assert text_of(response.text) == words_text(3)
        assert response.text.count("event: done") == (0 if path == "/ask" else 1)


def test_2_6_01_the_first_block_names_the_run_before_the_model_has_answered(site, ada):
    for path in (*GETS, *POSTS):
        site.upstream.script([{"sleep": 0.2}, {"delta": "ab"}, {"finish": "stop"}, {"done": True}])
        response = get(ada, path) if path in GETS else post(ada, path)
        first = blocks(response.text)[0]
        run = re.fullmatch(r"retry: 2000\nid: ([0-9a-f]{32})\.0", first)[1]
        assert [last_id.partition(".")[0] for last_id in ids(response.text)] == [run] * 4
        assert ids(response.text)[-1] == f"{run}.end"


def test_2_6_02_a_client_that_posts_reads_once_to_the_end(site, fetcher):
    site.upstream.script("words:30@200")
    seen = fetcher("Hello")
    assert seen["text"] == words_text(30)
    assert (seen["log"], seen["end"]) == (["good", "closed"], "resolved")
    assert seen["requests"] == [None]
    assert asked_once(site, "Hello")


def test_2_6_02_the_same_client_asks_by_address(site, fetcher):
    site.upstream.script("words:30@200")
    seen = fetcher("Hello", by="GET")
    assert (seen["text"], seen["log"]) == (words_text(30), ["good", "closed"])
    assert seen["requests"] == [None]


def test_2_6_03_an_event_source_asks_once_whether_or_not_it_knows_the_end(site, sources):
    site.upstream.script(*["words:30@200"] * 6)
    for seen in sources("/stream-with-get", "error", "nothing"):
        assert (seen["client"], seen["text"]) == (seen["client"], words_text(30))
        if seen["end"] == "error":
            assert seen["requests"] == [None]
        else:
            first, again = seen["requests"]
            assert first is None
            assert again.endswith(".end")
            assert seen["opened"] == 1  # Then it was answered 204.
        assert asked_once(site, f"{seen['client']} {seen['end']}")


def test_2_6_04_a_client_that_is_cut_ends_with_the_whole_text(site, sources, fetcher):
    site.upstream.script(*["words:60@40"] * 8)
    with Proxy(site.port) as proxy, ThreadPoolExecutor(5) as pool:
        base = f"http://127.0.0.1:{proxy.port}"
        reading = [
            pool.submit(sources, "/stream-with-get", "nothing", base=base),
            pool.submit(sources, "/ask/", "[DONE]", base=base),
        ]
        fetching = [pool.submit(fetcher, f"By {way}", by=way, base=base) for way in ("POST", "GET")]
        wait_until(lambda: len(site.upstream.journal) == 8)
        wait_until(lambda: min(entry["sent"] for entry in site.upstream.journal) > 10)
        assert proxy.reset() == 8
        for seen in [seen for future in reading for seen in future.result()]:
            assert (seen["client"], seen["text"]) == (seen["client"], words_text(60))
            first, cut, *last = seen["requests"]
            assert first is None
            assert re.fullmatch(r"[0-9a-f]{32}\.[1-9][0-9]*", cut)
            assert [each.rpartition(".")[2] for each in last] == ["end"][: seen["end"] == "nothing"]
            assert asked_once(site, f"{seen['client']} {seen['end']}")
        for way, future in zip(("POST", "GET"), fetching, strict=True):
            seen = future.result()
            assert seen["text"] == words_text(60)
            assert seen["log"] == ["good", "again", "good", "closed"]
            assert len(seen["requests"]) == 2
            assert asked_once(site, f"By {way}")


@pytest.mark.parametrize("hide", [0, 5], ids=["before-any-text", "in-mid-text"])
def test_2_6_05_a_page_that_is_hidden_and_shown_reads_on(site, fetcher, hide):
    # After the preamble, and after a few messages.
    start = [{"sleep": 0.5}] if hide == 0 else []
    tokens = [step for i in range(20) for step in ({"delta": f"word{i} "}, {"sleep": 0.02})]
    site.upstream.script([*start, *tokens, {"finish": "stop"}, {"done": True}])
    seen = fetcher("Hello", hide=hide)
    assert seen["text"] == "".join(f"word{i} " for i in range(20))
    assert (seen["log"], seen["end"]) == (["good", "good", "closed"], "resolved")
    first, again = seen["requests"]
    assert first is None
    assert again.endswith(".0") == (hide == 0)
    assert asked_once(site, "Hello")


SNARES = [
    "Start", "\n", "\n", "line", "\n\n", "  leading", " ", "  ", "trailing ", "\n", " x",
    "\r\n", "crlf", "\r", "\n", "split", "\u2028", "\x85", "\x0c", "data: ", "id: 5\n",
    "event: done\n", ": no comment\n", "[DONE]", "\n[DONE]\n", "👩", "\u200d", "👧", "\ufeff", "é",
    "[DONE]", "end", "\n", "\n",
]  # fmt: skip


def test_2_6_06_text_of_any_kind_is_the_same_in_all_clients(site, sources, fetcher):
    steps = [step for text in SNARES for step in ({"delta": text}, {"sleep": 0.025})]
    site.upstream.script(*[[*steps, {"finish": "stop"}, {"done": True}]] * 8)
    text = "".join(SNARES).replace("\r\n", "\n").replace("\r", "\n")
    with ThreadPoolExecutor(4) as pool:
        reading = [
            pool.submit(sources, "/stream-with-get", "error"),
            pool.submit(sources, "/ask", "[DONE]"),
        ]
        fetching = [pool.submit(fetcher, "Hello", by=way) for way in ("GET", "POST")]
        for seen in [seen for future in reading for seen in future.result()]:
            assert (seen["client"], seen["text"]) == (seen["client"], text)
        for future in fetching:
            assert future.result()["text"] == text


def test_2_6_07_a_silent_model_is_waited_for_without_an_event(site, ada, fetcher):
    pause = [{"delta": "Hello "}, {"sleep": 2.5}, {"delta": "world"}, {"finish": "stop"}]
    site.upstream.script(*[[*pause, {"done": True}]] * 3)
    with ThreadPoolExecutor(3) as pool:
        fetching = pool.submit(fetcher, "Hello")
        reading = [pool.submit(post, ada, "/stream-with-post"), pool.submit(get, ada, "/ask")]
        raw = [future.result().text for future in reading]
        seen = fetching.result()
    for stream in raw:
        assert "\n:\n" in stream
        assert "\n:\n\n" not in stream
        comments = [line for line in stream.split("\n") if line.startswith(":")]
        assert set(comments) == {":"}
    assert seen["text"] == "Hello world"
    assert seen["empty"] == 2  # The preamble and the end.


def test_2_6_08_a_failure_in_mid_answer_is_fatal_to_who_has_posted(site, sources, fetcher):
    site.upstream.script("error-after:3")
    seen = fetcher("Hello")
    assert seen["text"] == words_text(3)
    assert seen["end"] == "The model server reported an error."
    assert seen["requests"] == [None]
    site.upstream.script(*["error-after:3"] * 3)
    for seen in sources("/stream-with-get", "nothing"):
        assert seen["text"] == words_text(3)
        assert [each and each.rpartition(".")[2] for each in seen["requests"]] == [None, "end"]


def test_2_6_08_what_cannot_be_asked_is_told_as_json(site, ada, node, fetcher):
    for path in (*POSTS, "/nostream"):
        for body in ({}, {"question": 5}, {"question": ""}, []):
            response = post(ada, path, body)
            assert (response.status_code, response.headers["content-type"]) == (
                422,
                "application/json",
            )
            (detail,) = response.json()["detail"]
            assert detail["loc"][0] == "body"
            assert response.json()["error"]["code"] == "bad_request"
    for path, name in GETS.items():
        response = httpx.get(site.url + path, headers=headers(ada))
        assert (response.status_code, response.json()["detail"]) == (
            422,
            [{"type": "missing", "loc": ["query", name], "msg": "Field required"}],
        )
    seen = fetcher("")
    assert (seen["log"], json.loads(seen["end"])["detail"][0]["loc"]) == (
        [422],
        ["body", "question"],
    )
    assert not site.upstream.journal


def test_2_6_09_the_stream_comes_whatever_is_accepted(site, ada):
    site.upstream.script(*["words:3"] * 4)
    for accept in ("application/json", "*/*"):
        for response in (
            post(ada, "/stream-with-post", accept=accept),
            get(ada, "/stream-with-get", accept=accept),
        ):
            assert response.headers["content-type"] == "text/event-stream"
            assert text_of(response.text) == words_text(3)


def test_2_6_10_the_whole_answer_equals_the_stream(site, ada):
    markdown = post(ada, "/stream-with-post").text
    for path in ("/nostream", "/nostream/"):
        response = post(ada, path)
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert response.json() == {"answer": text_of(markdown)}
    assert "| name | value |" in text_of(markdown)


def test_2_6_10_a_whole_answer_that_fails_has_the_status_of_its_error(site, ada):
    site.upstream.script("status:401", "eof-after:3")
    refused, cut = (post(ada, "/nostream", {"question": mode}) for mode in ("refused", "cut"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_auth")
    assert (cut.status_code, cut.json()["error"]["code"]) == (502, "upstream_truncated")
    assert cut.json()["detail"] == cut.json()["error"]["message"]


def test_2_6_11_one_answer_does_not_wait_for_another(site, ada):
    site.upstream.script("hang-after:1")
    url = f"{site.url}/stream-with-get"
    query = {"question": "Hang"}
    with httpx.stream("GET", url, params=query, headers=headers(ada), timeout=30) as hanging:
        lines = hanging.iter_lines()
        while next(lines) != "data: word0":
            pass
        site.upstream.script("words:3")
        asked_at = time.monotonic()
        assert text_of(post(ada, "/stream-with-post").text) == words_text(3)
        assert time.monotonic() - asked_at < AT_ONCE


def test_2_6_12_a_post_with_an_id_never_asks(site, ada, bob):
    site.upstream.script("words:3", "words:3", "words:3")
    own = ids(post(ada, "/stream-with-post").text)
    foreign = ids(post(bob, "/stream-with-post").text)[-2]
    for last_id in (own[-1], foreign, f"{'0' * 32}.7", "5", "nonsense"):
        for path in POSTS:
            over = post(ada, path, {"question": "Not to be asked"}, last_event_id=last_id)
            assert (over.status_code, over.headers["content-type"]) == (200, "text/event-stream")
            assert blocks(over.text)[0].startswith("event: done\ndata: ")
            assert text_of(over.text) == ""
        for path in GETS:
            over = get(ada, path, "Not to be asked", last_event_id=last_id)
            assert (over.status_code, over.content) == (204, b"")
    assert len(site.upstream.journal) == 2
    assert post(ada, "/stream-with-post", last_event_id="").status_code == 200  # No id: it asks.
    assert len(site.upstream.journal) == 3


def test_2_6_12_every_id_is_answered_with_the_rest_exactly(site, ada):
    steps = [step for i in range(5) for step in ({"delta": f"{i}\n\n"}, {"sleep": 0.05})]
    script = [*steps, {"finish": "stop"}, {"done": True}]
    site.upstream.script(script, script)
    for path in ("/stream-with-get", "/ask"):
        whole = blocks(get(ada, path).text)
        assert len(whole) > 4
        for count, block in enumerate(whole[:-1]):
            last_id = block.rpartition("id: ")[2]
            preamble, *rest = blocks(get(ada, path, last_event_id=last_id).text)
            assert preamble == f"retry: 2000\nid: {last_id}"
            assert rest == whole[count + 1 :]
    assert len(site.upstream.journal) == 2


def test_leaving_is_not_stopping(site, ada):
    site.upstream.script(*["words:30@50"] * 3)
    left = []
    for path, body in (
        ("/stream-with-post", {"question": "Left"}),
        ("/nostream", {"question": "Left"}),
        ("/ask", {"messages": [{"role": "user", "content": "Left"}]}),
    ):
        with closing(socket.create_connection(("127.0.0.1", site.port))) as connection:
            raw = json.dumps(body)
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            head += f"Authorization: Bearer {ada.key}\r\nContent-Length: {len(raw)}\r\n\r\n"
            connection.sendall((head + raw).encode())
            wait_until(lambda: len(site.upstream.journal) > len(left))
            left.append(path)
    rows = ada.http.get("/conversations/", params={"q": "Left"}).json()["items"]
    assert len(rows) == 3
    for row in rows:
        _, answer = ada.messages(row["id"])
        generation = ada.ended({"id": answer["generation"]} | ada.generation(answer["generation"]))
        assert generation["status"] == "done"
        assert ada.saved_text(generation) == words_text(30)


def test_a_question_is_a_conversation_of_its_own_on_the_chat_page_too(site, ada):
    site.upstream.script("words:3", "words:3")
    for _ in range(2):
        get(ada, "/stream-with-get", "A question of its own")
    rows = ada.http.get("/conversations/", params={"q": "A question of its own"}).json()["items"]
    assert len(rows) == 2
    assert [row["role"] for row in ada.messages(rows[0]["id"])] == ["user", "assistant"]


def test_a_stopped_answer_ends_as_usual(site, ada):
    for path in ("/stream-with-get", "/ask"):
        site.upstream.script("infinite@50")
        query = {GETS[path]: "Stop me"}
        with httpx.stream("GET", site.url + path, params=query, headers=headers(ada)) as response:
            lines = response.iter_lines()
            run = next(line for line in lines if line.startswith("id: "))[4:36]
            ada.stop(str(UUID(run)))
            rest = list(lines)
        assert ("data: [DONE]" in rest) == (path == "/ask")
        assert ("event: done" in rest) == (path != "/ask")
        assert "event: FatalError" not in rest


def test_nobody_asks_without_a_key_or_by_a_link(site, ada):
    for path, name in GETS.items():
        assert httpx.get(site.url + path, params={name: "Hello"}).status_code == 401
        opened = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
        cookie = {"Cookie": f"sessionid={ada.session}"}
        link = httpx.get(site.url + path, params={name: "Hello"}, headers=opened | cookie)
        assert link.status_code == 403
    for path in (*POSTS, "/nostream"):
        assert httpx.post(site.url + path, json={"question": "Hello"}).status_code == 401
    assert httpx.post(f"{site.url}/ask", json={}).status_code == 401
    assert not site.upstream.journal


def test_head_and_options_ask_nothing(site, ada):
    for path in (*GETS, *POSTS, "/nostream"):
        options = httpx.options(site.url + path)
        assert options.status_code == 204
        assert ("POST" in options.headers["allow"]) == (path != "/stream-with-get")
        for query, status in {"question=Hi&msg=Hi": 200, "": 422}.items():
            address = f"{site.url}{path}?{query}"
            head = httpx.head(address, headers=headers(ada), timeout=5)
            assert head.status_code == (status if path in GETS else 405)
            assert head.content == b""
    assert not site.upstream.journal


# 4.7: asked by address, and posted for plain text ------------------------------------------


def test_4_7_01_an_event_source_asks_once_whether_or_not_it_knows_done(site, sources):
    site.upstream.script(*["text:Hello\n\n world"] * 6)
    for seen in sources("/ask/", "[DONE]", "nothing"):
        shown = "Hello\n\n world" + "[DONE]" * (seen["end"] == "nothing")
        assert (seen["client"], seen["text"]) == (seen["client"], shown)
        requests = [each and each.rpartition(".")[2] for each in seen["requests"]]
        assert requests == [None, "end"][: 2 if seen["end"] == "nothing" else 1]
        assert asked_once(site, f"{seen['client']} {seen['end']}")


def test_4_7_01_a_failure_is_shown_and_is_the_end(site, sources):
    site.upstream.script(*["error-after:3"] * 3)
    for seen in sources("/ask", "[DONE]"):
        error = "\n\n[error] The model server reported an error."
        assert seen["text"] == words_text(3) + error
        assert seen["requests"] == [None]


def test_4_7_02_both_addresses_answer_directly(site, ada):
    for path in ("/ask", "/ask/"):
        site.upstream.script("words:3")
        response = get(ada, path)
        assert (response.status_code, len(response.history)) == (200, 0)
        assert text_of(response.text) == words_text(3)
        assert httpx.get(site.url + path, headers=headers(ada)).status_code == 422
        site.upstream.script("words:3")
        response = post(ada, path, {"messages": [{"role": "user", "content": "Hello"}]})
        assert (response.status_code, response.text) == (200, words_text(3))


def ask_for_text(person: Person, *told: str, **more: Any) -> httpx.Response:
    """Post a conversation: user and assistant in turn."""
    turns = [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(told)]
    return post(person, "/ask", {"messages": turns} | more)


def test_4_7_03_the_text_is_exact_and_alone(site, ada):
    text = "H\u00e9 \U0001f469\u200d\U0001f467\r\n\n\u2028\x85 data: [DONE]\n"
    site.upstream.script(f"text:{text}")
    response = ask_for_text(ada, "Hello")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert "x-experimental-stream-data" not in response.headers
    assert response.content == text.encode()


def test_4_7_03_the_text_comes_as_it_is_written(site, ada):
    site.upstream.script("hang-after:3")
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    url = f"{site.url}/ask"
    with httpx.stream("POST", url, json=body, headers=headers(ada), timeout=AT_ONCE) as response:
        seen = b""
        for piece in response.iter_raw():
            seen += piece
            if seen == words_text(3).encode():
                break


def test_4_7_03_an_error_before_any_text_is_a_status_with_a_few_words(site, ada):
    site.upstream.script("status:401")
    response = ask_for_text(ada, "Hello")
    assert response.status_code == 502
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.startswith("The model provider refused the site's key.")
    for body in ({}, {"messages": []}, {"messages": [{"role": "assistant", "content": "a"}]}):
        response = post(ada, "/ask", body)
        assert (response.status_code, response.headers["content-type"]) == (
            422,
            "text/plain; charset=utf-8",
        )
        assert response.text.startswith("messages: ")
        assert len(response.text) < 200
    assert httpx.post(f"{site.url}/ask", json={}).text.startswith("Sign in")


@pytest.mark.parametrize("mode", ["error-after:3", "cut-after:3", "eof-after:3"])
def test_4_7_03_an_error_after_text_cuts_the_connection(site, ada, mode):
    site.upstream.script(mode)
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    pieces = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", f"{site.url}/ask", json=body, headers=headers(ada)) as response,
    ):
        pieces.extend(response.iter_raw())
    assert response.status_code == 200
    assert b"".join(pieces).decode() == words_text(3)
    assert "without completing response" not in site.output


def test_4_7_03_a_conversation_that_is_told_again_goes_on(site, ada):
    site.upstream.script("text:One.", "text:Two.", "text:Other.")
    assert ask_for_text(ada, "A tale that is told").text == "One."
    assert ask_for_text(ada, "A tale that is told", "One.", "And then?").text == "Two."
    assert site.upstream.journal[-1]["body"]["messages"][-3:] == [
        {"role": "user", "content": "A tale that is told"},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "And then?"},
    ]
    found = ada.http.get("/conversations/", params={"q": "A tale that is told"}).json()["items"]
    assert len(found) == 1
    assert [row["text"] for row in ada.messages(found[0]["id"])][-1] == "Two."


def test_4_7_04_the_hook_of_ai_2_shows_what_is_streamed(site, ada, node):
    site.upstream.script("text:H\u00e9, \U0001f44b!\n\nHow are you?@200", "words:3")
    with Proxy(site.port) as proxy:
        proxy.down.cut = 1  # Characters come in pieces.
        args = (f"http://127.0.0.1:{proxy.port}/ask", ada.key, ["A hook", "And again"])
        (seen,) = node.run("use_chat_2.mjs", *args)
    assert seen["messages"] == [
        ["user", "A hook"],
        ["assistant", "H\u00e9, \U0001f44b!\n\nHow are you?"],
        ["user", "And again"],
        ["assistant", words_text(3)],
    ]
    assert (seen["error"], seen["isLoading"]) == (None, False)
    assert seen["shown"] > 5
    found = ada.http.get("/conversations/", params={"q": "A hook"}).json()["items"]
    assert len(found) == 1
    assert len(site.upstream.journal) == 2


def test_4_7_04_the_hook_reports_what_goes_wrong(site, ada, node):
    site.upstream.script("status:401", "error-after:3")
    args = (f"{site.url}/ask", ada.key, ["Hello"])
    (refused,) = node.run("use_chat_2.mjs", *args)
    assert refused["messages"] == []
    assert refused["error"].startswith("The model provider refused the site's key.")
    (cut,) = node.run("use_chat_2.mjs", *args)
    assert cut["error"] == "terminated"  # As fetch says it of a body that is not whole.


@pytest.mark.parametrize("major", [5, 6, 7])
def test_4_7_04_text_transports_of_later_versions_work_too(site, ada, node, major):
    site.upstream.script("words:3", "text:H\u00e9@100", "text:Once more")
    prompt = f"By version {major}"
    args = (major, f"{site.url}/ask", ada.key, [prompt, "And again"])
    (seen,) = node.run("text_transport.mjs", *args)
    assert seen["messages"] == [
        ["user", prompt],
        ["assistant", words_text(3)],
        ["user", "And again"],
        ["assistant", "Once more"],
    ]
    assert (seen["error"], seen["status"]) == (None, "ready")
    found = ada.http.get("/conversations/", params={"q": prompt}).json()["items"]
    assert len(found) == 1
    texts = [row["text"] for row in ada.messages(found[0]["id"])]
    assert {"H\u00e9", "Once more"} < set(texts)  # The answer that was replaced stays.
