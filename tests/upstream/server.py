"""Sockets, requests and the journal of the fake model server."""

import asyncio
import json
import socket
import struct
import threading
import time

from tests.upstream import modes


def unused_port():
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Upstream:
    """The state shared by all connections."""

    def __init__(self):
        self.journal = []
        self.scripts = []
        self.moderated = []
        self.moderation_status = 200
        self.models = {"openai": ["markdown", "echo"], "ollama": []}
        self.connections = set()
        self.opened = 0

    async def serve(self, *, host="127.0.0.1", port=0):
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self), host, port, backlog=2048)


class FakeUpstream(Upstream):
    """An upstream in a thread of its own, for the length of a ``with`` block."""

    def __enter__(self):
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *exc_info):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self.serve()
        self.port = server.sockets[0].getsockname()[1]
        self.root_url = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.root_url}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        tasks = [connection.task for connection in self.connections if connection.task]
        for connection in list(self.connections):
            connection.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def script(self, *scripts):
        """Answer the next requests so, one script each."""
        self.scripts.extend(scripts)

    def wait_for(self, condition, *, timeout=5.0):
        """Wait until ``condition(journal)`` holds and say whether it did."""
        deadline = time.monotonic() + timeout
        while not (held := condition(self.journal)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return bool(held)

    def reset(self):
        self.journal.clear()
        self.scripts.clear()
        self.moderated.clear()
        self.moderation_status = 200


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request, its answer, the next request."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.buffer = b""
        self.task = None
        self.entry = None

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream.opened += 1
        self.number = self.upstream.opened
        self.upstream.connections.add(self)
        self.writable = asyncio.Event()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, exc):
        self.upstream.connections.discard(self)
        self.writable.set()
        if self.entry is not None:
            self.entry["closed"] = time.monotonic()
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data):
        self.buffer += data
        if self.buffer[:1] == b"\x16":  # A TLS handshake: refused, as by any plain HTTP server.
            self.transport.close()
            return
        if self.task is None:
            self._next_request()

    def _next_request(self):
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        body, self.buffer = rest[:length], rest[length:]
        method, path, _ = request_line.split(" ", 2)
        self.task = asyncio.get_running_loop().create_task(
            self._answer(method, path, headers, body)
        )

    async def _answer(self, method, path, headers, body):
        if path.endswith("/chat/completions"):
            await self._complete(headers, json.loads(body))
        else:
            self._control(method, path, body)
        self.task = None
        if not self.transport.is_closing():
            self._next_request()

    async def _complete(self, headers, body):
        script = self.upstream.scripts.pop(0) if self.upstream.scripts else str(body.get("model"))
        self.entry = entry = {
            "model": body.get("model"), "mode": script, "body": body, "headers": headers,
            "connection": self.number, "opened": time.monotonic(),
            "first": None, "sent": 0, "ended": None, "closed": None,
        }  # fmt: skip
        self.upstream.journal.append(entry)
        try:
            await modes.answer(Reply(self, entry), script, body)
        except modes.Ended:
            pass
        else:
            entry["ended"] = time.monotonic()

    def _moderate(self, body):
        self.upstream.moderated.append(body)
        if self.upstream.moderation_status != 200:
            return self.upstream.moderation_status, modes.error()
        categories = {"violence": "hurt" in body["input"], "self-harm/intent": False}
        result = {
            "flagged": any(categories.values()),
            "categories": categories,
            "category_scores": dict.fromkeys(categories, 0.5),
            "category_applied_input_types": {},
        }
        return 200, {"id": "modr-1", "model": body["model"], "results": [result]}

    def _control(self, method, path, body):
        upstream, value, status = self.upstream, {}, 200
        if path == "/_control/script" and method == "POST":
            upstream.scripts.extend(json.loads(body)["scripts"])
        elif path == "/_control/models" and method == "POST":
            upstream.models.update(json.loads(body))
        elif path == "/_control/journal":
            value = {"requests": list(upstream.journal)}
            if method == "DELETE":
                upstream.journal.clear()
        elif path.endswith("/moderations"):
            status, value = self._moderate(json.loads(body))
        elif path.endswith("/models"):
            data = [{"id": name, "object": "model"} for name in upstream.models["openai"]]
            value = {"object": "list", "data": data}
        elif path.endswith("/api/tags") and upstream.models["ollama"]:
            value = {
                "models": [{"name": name, "model": name} for name in upstream.models["ollama"]]
            }
        else:
            status, value = 404, {"error": {"message": "Not found", "type": "not_found"}}
        Reply(self, {}).whole(status, json.dumps(value).encode())


class Reply:
    """What a mode may do to the client."""

    def __init__(self, connection, entry):
        self.connection = connection
        self.entry = entry
        self.one_byte = False

    def whole(self, status, body, *, headers=(), form="application/json"):
        """Send a response that is no stream."""
        lines = [f"HTTP/1.1 {status} -", f"Content-Type: {form}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.connection.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def head(self, *, form="text/event-stream"):
        self.connection.transport.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: {form}\r\nCache-Control: no-cache\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def raw(self, data):
        """Send bytes of the body, as one HTTP chunk or, with ``one_byte``, one each."""
        if not self.one_byte:
            self.connection.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            for i in range(len(data)):
                self.connection.transport.write(b"1\r\n%b\r\n" % data[i : i + 1])
                await asyncio.sleep(0)
        if not self.connection.writable.is_set():
            await self.connection.writable.wait()

    def end(self):
        """End the body properly; the connection is kept."""
        self.connection.transport.write(b"0\r\n\r\n")

    async def hang(self):
        """Do nothing until the client closes."""
        await asyncio.Event().wait()

    def reset(self):
        sock = self.connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()
        raise modes.Ended

    def cut(self):
        self.connection.transport.close()
        raise modes.Ended
