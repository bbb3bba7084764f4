"""
An OpenAI-compatible server whose answers are made of stamped tokens.

``python -m bench.upstream`` prints its port and serves until it is told to end.
A request for ``bench:<tokens>@<rate>`` (in the last message, else the model's
name) is answered with that many tokens at that many a second, each in a write
of its own; with ``#prose`` behind it, in Markdown. It does nothing else, so that
what is measured is the server before it.
"""

import asyncio
import gc
import heapq
import itertools
import json
import sys
from typing import Any

from bench import prose, stamps

TICK = 0.001  # Seconds; tokens due within one tick share a wake-up, not a write.
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    b"Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def json_reply(status: str, body: object) -> bytes:
    """Return a whole HTTP response."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


def http_chunk(data: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def sse_chunk(model: str, choices: list[dict[str, Any]], **extra: object) -> bytes:
    """Return one chat completion chunk as an event, in a piece of its own."""
    return http_chunk(sse_data(model, choices, **extra))


def sse_data(model: str, choices: list[dict[str, Any]], **extra: object) -> bytes:
    """Return one chat completion chunk as an event."""
    chunk = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, **extra}
    chunk |= {"model": model, "choices": choices}
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def choice(delta: dict[str, str], finish_reason: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish_reason}]


class Stream:
    """One answer under way."""

    __slots__ = ("head", "hold", "interval", "left", "tail", "token", "transport")

    def __init__(self, transport: asyncio.Transport, request: dict[str, Any]) -> None:
        model = str(request.get("model", ""))
        tokens, rate, self.hold = parameters(request)
        self.transport = transport
        self.left = tokens
        self.interval = 1 / rate
        self.head = HEAD + sse_chunk(model, choice({"role": "assistant", "content": ""}))
        # Everything around the digits is the same for each token.
        sample = sse_chunk(model, choice({"content": " " + "0" * stamps.WIDTH}))
        self.token = sample.replace(b"%", b"%%").replace(b"0" * stamps.WIDTH, b"%011d")
        self.tail = sse_chunk(model, choice({}, "stop"))
        if (request.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
            self.tail += sse_chunk(model, [], usage=usage)
        self.tail += http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

    def step(self) -> bool:
        """Send one token, or the end. Return whether there is more to send."""
        if self.transport.is_closing():
            return False
        if self.left == 0:
            self.transport.write(self.tail)
            return False
        self.left -= 1
        self.write_token()
        return True

    def write_token(self) -> None:
        self.transport.write(self.token % stamps.now())


class Prose(Stream):
    """One whose tokens are Markdown, without stamps: for who draws it, not for who measures it."""

    __slots__ = ("words",)

    def __init__(self, transport: asyncio.Transport, request: dict[str, Any]) -> None:
        super().__init__(transport, request)
        model = str(request.get("model", ""))
        before, _, after = sse_data(model, choice({"content": "\0"})).partition(b"\\u0000")
        self.words = (http_chunk(before + word + after) for word in prose.tokens())

    def write_token(self) -> None:
        self.transport.write(next(self.words))


class Pacer:
    """Sends each stream's tokens when they are due, from one timer for all."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.due: list[tuple[float, int, Stream]] = []
        self.order = itertools.count()  # Streams themselves do not compare.
        self.timer: asyncio.TimerHandle | None = None
        self.tokens = 0
        self.worst_delay = 0.0
        self.requests = 0

    def start(self, stream: Stream) -> None:
        """Send the role now, the first token at the next tick, the rest at the stream's rate."""
        self.requests += 1
        if stream.hold:
            self.loop.call_later(stream.hold, self.begin, stream)
        else:
            self.begin(stream)

    def begin(self, stream: Stream) -> None:
        stream.transport.write(stream.head)
        heapq.heappush(self.due, (self.loop.time(), next(self.order), stream))
        if self.timer is None:
            self.timer = self.loop.call_later(TICK, self.tick)

    def tick(self) -> None:
        now = self.loop.time()
        due = self.due
        while due and due[0][0] <= now:
            at, order, stream = due[0]
            self.worst_delay = max(self.worst_delay, now - at)
            if stream.step():
                self.tokens += 1
                # From when it was due, not from now: a late tick does not lower the rate.
                heapq.heapreplace(due, (at + stream.interval, order, stream))
            else:
                heapq.heappop(due)
        self.timer = self.loop.call_at(max(due[0][0], now + TICK), self.tick) if due else None

    def report(self) -> dict[str, float]:
        """Return what was sent since the last report, and how late the latest token was."""
        found = {
            "tokens": self.tokens,
            "worst_delay_ms": self.worst_delay * 1000,
            "requests": self.requests,
        }
        self.tokens, self.worst_delay, self.requests = 0, 0.0, 0
        return found


class Upstream(asyncio.Protocol):
    """One client connection, kept alive; requests are answered one after another."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # An answer that nobody reads fast enough waits here, and its tokens age.
        transport.set_write_buffer_limits(high=1 << 30)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (f.partition(":") for f in fields)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.answer(line.split(" ")[:2], rest[:length])

    def answer(self, target: list[str], body: bytes) -> None:
        if target == ["GET", "/report"]:
            self.transport.write(json_reply("200 OK", self.pacer.report()))
        elif target == ["GET", "/v1/models"]:
            model = {"id": "bench:250@50", "object": "model", "created": 1, "owned_by": "bench"}
            self.transport.write(json_reply("200 OK", {"object": "list", "data": [model]}))
        elif target == ["POST", "/v1/chat/completions"]:
            request = json.loads(body)
            if request.get("stream"):
                kind = Prose if asked(request).endswith("#prose") else Stream
                self.pacer.start(kind(self.transport, request))
            else:
                self.transport.write(json_reply("200 OK", completion(request)))
        else:
            self.transport.write(json_reply("404 Not Found", {"error": {"message": "not found"}}))


def parameters(request: dict[str, Any]) -> tuple[int, float, float]:
    """Return the number of tokens, the rate and the seconds of silence that a request asks for."""
    found = stamps.find_prompt(asked(request)) or stamps.find_prompt(request.get("model", ""))
    tokens, rate, hold = found[-1] if found else ("16", "50", "")
    return int(tokens), float(rate), float(hold or 0)


def asked(request: dict[str, Any]) -> str:
    """Return the text of the last message."""
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def completion(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request that did not ask for a stream."""
    tokens, *_ = parameters(request)
    message = {"role": "assistant", "content": f" {stamps.now():011d}" * tokens}
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": request.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1},
    }


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    pacer = Pacer(loop)
    server = await loop.create_server(lambda: Upstream(pacer), "127.0.0.1", port, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    # A collector's pause would be counted as latency of the server under test.
    gc.disable()
    asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
