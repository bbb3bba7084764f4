"""Other programs' clients of the OpenAI dialect; numbers are those of the checklist 5.4."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from tests.clients.node import Node
from tests.guarantees.clients import Person
from tests.servers import Site
from tests.upstream import words_text


class Seen(NamedTuple):
    """What a client made of an answer: its text, and what it was told to be wrong."""

    text: str
    error: str | None


Client = Callable[[Site, Person, Node, list[str]], list[Seen]]


def openai_python(site: Site, ada: Person, node: Node, models: list[str]) -> list[Seen]:
    messages = [{"role": "user", "content": "Hello"}]
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=0) as client:
        create = partial(client.chat.completions.create, messages=messages, stream=True)
        return [collected(map(text_of, create(model=model))) for model in models]


def text_of(chunk: Any) -> str:
    return chunk.choices[0].delta.content or ""


def langchain(site: Site, ada: Person, node: Node, models: list[str]) -> list[Seen]:
    with httpx.Client() as http:
        options = {"http_client": http, "max_retries": 0, "stream_usage": False}
        make = partial(ChatOpenAI, base_url=f"{site.url}/v1", api_key=ada.key, **options)
        streams = [make(model=model).stream("Hello") for model in models]
        return [collected(chunk.content for chunk in stream) for stream in streams]


def collected(pieces: Iterable[str]) -> Seen:
    text = ""
    try:
        for piece in pieces:
            text += piece
    except openai.APIError as exc:
        return Seen(text, exc.message)
    return Seen(text, None)


def openai_node(site: Site, ada: Person, node: Node, models: list[str]) -> list[Seen]:
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    calls = [{"create": body | {"model": model}} for model in models]
    found = []
    for seen in node.run("openai.mjs", f"{site.url}/v1", ada.key, {}, input=calls):
        deltas = [chunk["choices"][0]["delta"] for chunk in seen["chunks"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        found.append(Seen(text, seen["error"]["message"] if "error" in seen else None))
    return found


def ai_sdk(major: int) -> Client:
    def ask(site: Site, ada: Person, node: Node, models: list[str]) -> list[Seen]:
        found = node.run("ai_sdk_openai.mjs", major, f"{site.url}/v1", ada.key, input=models)
        return [Seen(seen["text"], seen["error"]) for seen in found]

    return ask


CLIENTS: dict[str, Client] = {
    "openai-python": openai_python,
    "openai-node": openai_node,
    "langchain-openai": langchain,
    "ai-sdk-7": ai_sdk(7),
    "ai-sdk-6": ai_sdk(6),
}
BROKEN = "The connection to the model broke. The text so far is kept."
ANSWERS = {
    "openai:words:30": Seen(words_text(30), None),
    "openai:error-after:3": Seen(words_text(3), "The model server reported an error."),
    "openai:reset-after:3": Seen(words_text(3), BROKEN),
    "openai:cut-after:3": Seen(words_text(3), BROKEN),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_5_4_06_every_client_is_told_of_a_failure_after_the_text(site, ada, node, name):
    found = CLIENTS[name](site, ada, node, list(ANSWERS))
    assert dict(zip(ANSWERS, found, strict=True)) == ANSWERS


@pytest.mark.parametrize("major", [6, 7])
def test_the_ai_sdk_reads_reasoning_usage_and_the_reason_to_end(site, ada, node, major):
    models = ["openai:reasoning:reasoning", "openai:finish:length", "nothing"]
    thought, cut, missing = node.run(
        "ai_sdk_openai.mjs", major, f"{site.url}/v1", ada.key, input=models
    )
    assert (thought["text"], thought["reasoning"]) == ("The answer.", "Let me think about it.")
    assert (thought["reason"], cut["reason"]) == ("stop", "length")
    assert thought["usage"]["totalTokens"] == 12
    assert missing["error"].startswith("No model is called 'nothing'.")
