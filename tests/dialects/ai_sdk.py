"""The AI SDK's chats in tests: real clients in Node, and requests written by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from tests.clients.node import Dialogue
from tests.guarantees.clients import Person
from tests.servers import Site


class Chat:
    """One chat of a client, as `tests/clients/js/ai_sdk.mjs` keeps it."""

    def __init__(self, dialogue: Dialogue, **options: Any) -> None:
        self._dialogue = dialogue
        self._name = str(uuid4())
        self.id = options["id"]
        self._do("open", options)

    def _do(self, call: str, value: Any = True) -> Any:
        return self._dialogue.ask({"chat": self._name, call: value})

    def send(self, text: str, **options: Any) -> None:
        """Begin to ask; ``model`` is the body's."""
        self._do("send", {"text": text} | _with_body(options))

    def regenerate(self, **options: Any) -> None:
        self._do("regenerate", _with_body(options))

    def resume(self) -> None:
        self._do("resume")

    def until(self, length: int) -> dict[str, Any]:
        """Wait for so much text of the answer, or for its end; return what is shown."""
        return self._do("until", length)

    def end(self) -> dict[str, Any]:
        """Wait for the end of what was begun; return what is shown."""
        return self._do("end")

    def stop(self) -> dict[str, Any]:
        return self._do("stop")

    def ask(self, text: str, **options: Any) -> dict[str, Any]:
        self.send(text, **options)
        return self.end()


def _with_body(options: dict[str, Any]) -> dict[str, Any]:
    model = options.pop("model", None)
    return options | ({"body": {"model": f"openai:{model}"}} if model else {})


class Client:
    """A version of the AI SDK, used by one person, or by nobody in particular."""

    def __init__(self, dialogue: Dialogue, site: Site, person: Person | None = None) -> None:
        self.dialogue = dialogue
        self._site = site
        self._headers = {"Authorization": f"Bearer {person.key}"} if person else {}

    def chat(self, chat_id: str = "", **options: Any) -> Chat:
        """Return a chat over HTTP, a new one if it is not named."""
        api = f"{self._site.url}/api/chat"
        return self._open(chat_id, {"api": api} | options)

    def socket_chat(self, chat_id: str = "", **options: Any) -> Chat:
        """Return a chat over the WebSocket."""
        return self._open(chat_id, {"url": f"{self._site.ws_url}/ws/ai/"} | options)

    def _open(self, chat_id: str, options: dict[str, Any]) -> Chat:
        named = {"id": chat_id or f"chat {uuid4()}", "headers": self._headers}
        return Chat(self.dialogue, **named | options)

    def complete(self, prompt: str, **options: Any) -> dict[str, Any]:
        """Have a prompt completed; return the text, the status and the error."""
        api = f"{self._site.url}/api/completion"
        if protocol := options.get("streamProtocol"):
            api += f"?protocol={protocol}"
        asked = {"prompt": prompt, "api": api, "headers": self._headers} | _with_body(options)
        return self.dialogue.ask({"complete": asked})

    def frames(self) -> list[dict[str, Any]]:
        """Return the frames that sockets have got since the last call."""
        return self.dialogue.ask({"frames": True})

    def hang_up(self) -> None:
        """Close all sockets, as a page does that goes away."""
        self.dialogue.ask({"hangUp": True})


def ui(text: str, *, role: str = "user", message_id: str = "") -> dict[str, Any]:
    """Return a message as the client sends it."""
    parts = [{"type": "text", "text": text}]
    return {"id": message_id or str(uuid4()), "role": role, "parts": parts}


def body(chat_id: str, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the body of a request."""
    return {"id": chat_id, "messages": list(messages), "trigger": "submit-message"} | fields


class Caller:
    """One person's requests without the client."""

    def __init__(self, site: Site, person: Person) -> None:
        self._site = site
        self.headers = {"Authorization": f"Bearer {person.key}"}

    def url(self, path: str) -> str:
        return f"{self._site.url}/api{path}"

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        options["headers"] = self.headers | options.get("headers", {})
        return httpx.request(method, self.url(path), timeout=30, **options)

    def post(self, body: dict[str, Any], path: str = "/chat", **options: Any) -> httpx.Response:
        return self.call("POST", path, json=body, **options)

    def ask(self, chat_id: str, *messages: dict[str, Any], model: str = "words:3", **fields: Any):
        """Ask, and return the message that came of it: its id, its text, and its metadata."""
        asked = body(chat_id, *messages, model=f"openai:{model}", **fields)
        return answer_of(self.post(asked).raise_for_status())

    @contextmanager
    def begin(self, body: dict[str, Any]) -> Iterator[Iterator[str]]:
        """Ask, and yield the text of the stream as it comes; leaving the block aborts it."""
        with httpx.stream(
            "POST", self.url("/chat"), json=body, headers=self.headers, timeout=30
        ) as response:
            assert response.status_code == 200, response.read()
            yield response.iter_text()


def chunks_of(response: httpx.Response) -> list[dict[str, Any]]:
    blocks = response.text.split("\n\n")
    data = [block.removeprefix("data: ") for block in blocks if block.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [httpx.Response(200, content=each).json() for each in data]


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """Return an answer as a message that can be sent back."""
    chunks = chunks_of(response)
    text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    start = chunks[0]
    return ui(text, role="assistant", message_id=start["messageId"]) | {
        "metadata": start["messageMetadata"]
    }


def text_of(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")
