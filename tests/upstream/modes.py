"""What the fake model server can answer; the package's docstring lists it."""

import asyncio
import json
import re
import time
from itertools import count

MARKDOWN = """\
# An answer in Markdown

It has **bold** and *italic* words, `code`, and a [link](https://example.com/).

- one
- two
  - nested

| name | value |
|---|---:|
| a | 1 |
| b | 2 |

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

> Grüße, 世界 👋🏽.

That is all.
"""
REASONING = ["Let me ", "think ", "about it."]


class Ended(Exception):
    """Raised when the mode has ended the connection itself."""


def words_text(number):
    """Return the text of the mode ``words:<number>``."""
    return "".join(word(i) for i in range(number))


def word(i):
    return f"word{i}{'.' if i % 12 == 11 else ''} "


def tokens_of(text):
    return re.findall(r"\s*\S+\s*?|\s+", text) or [""]


def sse(value, *, end=b"\n\n", ascii_only=True):
    return b"data: " + json.dumps(value, ensure_ascii=ascii_only).encode() + end


def chunk(delta, **more):
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish", None)}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake"}
    return head | {"choices": [choice]} | more


def error(message="Provider words <b>secret</b>", *, code=None, kind="server_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def answer(reply, script, body):
    """Send the answer that a script, a mode or a model's name stands for."""
    if isinstance(script, list):
        await _steps(reply, script)
        return
    mode, _, rate = script.rpartition("@") if re.search(r"@[\d.]+$", script) else (script, "", "")
    name, *args = mode.split(":", 2 if not mode.startswith(("text:", "raw-text:")) else 1)
    answer = Answer(reply, body, delay=1 / float(rate) if rate else 0.0)
    if not body.get("stream"):
        _not_streamed(reply, answer, name, args)
    elif name == "finish":
        await answer.finish_with(*args)
    elif name in NAMES:
        await getattr(answer, name.replace("-", "_"))(*args)
    else:
        await answer.markdown()


class Answer:
    """The modes by name: a method each, its ``_`` for ``-``."""

    def __init__(self, reply, body, *, delay):
        self.reply = reply
        self.body = body
        self.delay = delay
        self.sent = 0
        self.line_end = b"\n"
        self.ascii_only = True

    async def send(self, value):
        end = self.line_end * 2
        data = (
            value if isinstance(value, bytes) else sse(value, end=end, ascii_only=self.ascii_only)
        )
        await self.reply.raw(data)

    async def delta(self, text, *, field="content"):
        if self.delay:
            await asyncio.sleep(self.delay)
        elif self.sent % 50 == 49:
            await asyncio.sleep(0)
        await self.send(chunk({field: text}))
        self.reply.entry["first"] = self.reply.entry["first"] or time.monotonic()
        self.sent += 1
        self.reply.entry["sent"] = self.sent

    async def start(self, number=0):
        self.reply.head()
        await self.send(chunk({"role": "assistant", "content": ""}))
        for i in range(int(number)):
            await self.delta(word(i))

    def usage_counts(self):
        return {"prompt_tokens": 7, "completion_tokens": self.sent, "total_tokens": 7 + self.sent}

    async def finish(self, reason="stop", *, usage=None, done=True):
        await self.send(chunk({}, finish=reason))
        if usage is None and (self.body.get("stream_options") or {}).get("include_usage"):
            usage = self.usage_counts()
        if usage:
            await self.send(chunk({}) | {"choices": [], "usage": usage})
        if done:
            await self.send(b"data: [DONE]" + self.line_end * 2)
        self.reply.end()

    async def tokens(self, tokens, **options):
        await self.start()
        for token in tokens:
            await self.delta(token)
        await self.finish(**options)

    # Good answers.
    async def markdown(self):
        await self.tokens(tokens_of(MARKDOWN))

    async def words(self, number):
        await self.tokens(word(i) for i in range(int(number)))

    async def echo(self):
        await self.tokens(tokens_of(last_user_text(self.body)))

    async def slow(self):
        self.delay = self.delay or 0.25
        await self.markdown()

    async def infinite(self):
        await self.tokens(word(i) for i in count())

    async def text(self, text):
        await self.tokens(text)

    async def raw_text(self, text):
        self.ascii_only = False
        await self.tokens(text)

    async def bytes(self):
        self.reply.one_byte = True
        self.ascii_only = False
        await self.markdown()

    async def crlf(self):
        self.line_end = b"\r\n"
        await self.markdown()

    async def cr(self):
        self.line_end = b"\r"
        await self.markdown()

    async def close_after(self):
        await self.markdown()
        self.reply.connection.transport.close()

    async def big(self, number):
        await self.tokens(["x" * int(number)])

    async def reasoning(self, field):
        await self.start()
        for token in REASONING:
            await self.delta(token, field=field)
        for token in tokens_of("The answer."):
            await self.delta(token)
        await self.finish()

    async def null_content(self):
        self.reply.head()
        await self.send(chunk({"role": "assistant", "content": None}))
        await self.send(chunk({}))
        await self.delta("Hello")
        await self.send(chunk({"content": None}))
        await self.finish()

    async def refusal(self):
        await self.start()
        await self.delta("I cannot do that.", field="refusal")
        await self.finish()

    async def surrogate_lone(self):
        await self.start()
        await self.send(chunk({"content": "a\ud83d"}))
        await self.send(chunk({"content": "b\udc4b"}))
        await self.finish()

    async def surrogate_split(self):
        await self.start()
        await self.send(chunk({"content": "a\ud83d"}))
        await asyncio.sleep(self.delay)
        await self.send(chunk({"content": "\udc4bb"}))
        await self.finish()

    async def nul(self):
        await self.tokens("a\0b")

    # Endings.
    async def finish_with(self, reason):
        await self.start(3)
        await self.finish(reason)

    async def no_done(self):
        await self.start(3)
        await self.finish(done=False)

    async def no_usage(self):
        await self.start(3)
        await self.finish(usage={})

    async def usage_in_finish(self):
        await self.start(3)
        await self.send(chunk({}, finish="stop", usage=self.usage_counts()))
        await self.send(b"data: [DONE]\n\n")
        self.reply.end()

    async def usage_negative(self):
        await self.start(3)
        await self.finish(usage={"prompt_tokens": -1, "completion_tokens": 3, "total_tokens": 2})

    async def usage_text(self):
        await self.start(3)
        await self.finish(usage={"prompt_tokens": "7", "completion_tokens": None})

    async def hang_after_finish(self):
        await self.start(3)
        await self.send(chunk({}, finish="stop"))
        await self.reply.hang()

    # Silence.
    async def hang_before_headers(self):
        await self.reply.hang()

    async def silent(self):
        self.reply.head()
        await self.reply.hang()

    async def hang_after(self, number):
        await self.start(number)
        await self.reply.hang()

    async def comments(self):
        await self.comments_after(0)

    async def comments_after(self, number):
        await self.start(number)
        while True:
            await self.send(b": ping\n\n")
            await asyncio.sleep(0.02)

    # Broken connections.
    async def reset_before_headers(self):
        self.reply.reset()

    async def reset_after(self, number):
        await self.start(number)
        await asyncio.sleep(0.1)  # An RST discards what the client has not read yet.
        self.reply.reset()

    async def eof_after(self, number):
        await self.start(number)
        self.reply.end()

    async def cut_after(self, number):
        await self.start(number)
        self.reply.cut()

    # What is no stream, and errors in it.
    async def html(self):
        self.reply.whole(200, b"<html><body>Sign in</body></html>", form="text/html")

    async def html_after(self, number):
        await self.start(number)
        await self.send(b"<html>\n<body>\nBad gateway</body>\n</html>\n")
        self.reply.end()

    async def garbage(self):
        await self.garbage_after(0)

    async def garbage_after(self, number):
        await self.start(number)
        await self.send(b"data: {not json\n\n")
        self.reply.end()

    async def empty(self):
        self.reply.head()
        self.reply.end()

    async def json_error(self):
        self.reply.whole(200, json.dumps(error(kind="invalid_api_key")).encode())

    async def error_after(self, number):
        await self.start(number)
        await self.send(error())
        self.reply.end()

    async def error_code_after(self, number, code):
        await self.start(number)
        await self.send(error(code=int(code) if code.isdecimal() else code))
        self.reply.end()

    async def error_event_after(self, number):
        await self.start(number)
        await self.send(b"event: error\n" + sse(error()))
        self.reply.end()

    async def error_field_after(self, number):
        await self.start(number)
        await self.send(b"error: " + json.dumps(error()["error"]).encode() + b"\n\n")
        self.reply.end()

    async def error_done_after(self, number):
        await self.start(number)
        await self.send(error())
        await self.send(b"data: [DONE]\n\n")
        self.reply.end()

    async def groq_error_after(self, number):
        await self.start(number)
        await self.send(chunk({}, x_groq={"id": "req", "error": "over capacity"}))
        self.reply.end()

    # Refusals.
    async def status(self, code, retry_after=None):
        headers = [("Retry-After", retry_after)] if retry_after is not None else []
        kinds = {"401": "invalid_api_key", "404": "model_not_found"}
        value = error(kind=kinds.get(code, "server_error"), code=kinds.get(code))
        self.reply.whole(int(code), json.dumps(value).encode(), headers=headers)

    async def context_too_long(self):
        words = "This model's maximum context length is 4096 tokens."
        value = error(words, code="context_length_exceeded", kind="invalid_request_error")
        self.reply.whole(400, json.dumps(value).encode())

    async def loading(self):
        value = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
        self.reply.whole(503, json.dumps(value).encode())

    async def no_stream_options(self):
        if "stream_options" not in self.body:
            await self.markdown()
            return
        value = error("Unrecognized request argument supplied: stream_options")
        self.reply.whole(400, json.dumps(value).encode())


NAMES = {
    name.replace("_", "-")
    for name in vars(Answer)
    if not name.startswith("_")
    and name not in {"send", "delta", "start", "finish", "tokens", "usage_counts", "finish_with"}
}


def last_user_text(body):
    content = next(
        (m["content"] for m in reversed(body.get("messages", [])) if m.get("role") == "user"), ""
    )
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return content


def _not_streamed(reply, answer, name, args):
    texts = {"echo": last_user_text(answer.body), "words": words_text(int(args[0])) if args else ""}
    message = {"role": "assistant", "content": texts.get(name, MARKDOWN)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    value = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]}
    reply.whole(200, json.dumps(value | {"usage": answer.usage_counts()}).encode())


async def _steps(reply, steps):
    steps = list(steps)
    if steps and "status" in steps[0]:
        first = steps.pop(0)
        body = first.get("body", error())
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        reply.whole(first["status"], data, headers=list(first.get("headers", {}).items()))
        return
    answer = Answer(reply, {}, delay=0.0)
    reply.head()
    for step in steps:
        (kind, value), *_ = step.items()
        if kind == "delta":
            await answer.delta(value)
        elif kind == "reasoning":
            await answer.delta(value, field="reasoning_content")
        elif kind == "finish":
            await answer.send(chunk({}, finish=value))
        elif kind == "usage":
            await answer.send(chunk({}) | {"choices": [], "usage": value})
        elif kind == "done":
            await answer.send(b"data: [DONE]\n\n")
        elif kind == "raw":
            await reply.raw(value.encode())
        elif kind == "sleep":
            await asyncio.sleep(value)
        elif kind == "hang":
            await reply.hang()
        elif kind == "reset":
            reply.reset()
        elif kind == "cut":
            reply.cut()
    reply.end()
