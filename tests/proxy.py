"""
A TCP proxy that does to connections what networks do to them.

It runs in a thread of its own, for the length of a ``with`` block, and stands
before anything that listens on loopback: the site, the model server, Redis,
PostgreSQL. What flows towards the target is its way ``up``, what comes back
its way ``down``; both can be changed while bytes flow::

    with Proxy(site.port) as proxy:
        proxy.down.rate = 100       # bytes per second and connection; None: no limit
        proxy.up.delay = 0.2        # seconds each way, however much is under way
        proxy.cut = 7               # both ways: pieces of 1 to 7 bytes, cut at random
        proxy.paused = True         # nothing is read: whoever sends finds his buffers full
        proxy.lost = True           # a black hole: all is read and thrown away, ends included
        proxy.refusing = True       # new connections are reset at once
        proxy.half_close(proxy.up)  # the target sees the end, and may go on sending
        proxy.reset()               # RST to both ends of all connections
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

READ_BYTES = 65536
LOOK_SECONDS = 0.005  # How soon a change to a way is felt.
UNDER_WAY = 64  # Pieces that a delay holds back, per connection and way.
RST = struct.pack("ii", 1, 0)


class Way:
    """What happens to the bytes of one direction, and how many there were."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self.delay = 0.0
        self.cut = 0
        self.paused = False
        self.lost = False
        self.bytes = 0


def _both(name: str) -> property:
    def get(proxy: "Proxy") -> Any:
        return getattr(proxy.down, name)

    def set_both(proxy: "Proxy", value: Any) -> None:
        setattr(proxy.up, name, value)
        setattr(proxy.down, name, value)

    return property(get, set_both)


class Proxy:
    """
    Forward to a port on loopback, faithfully until told otherwise.

    ``buffer`` bounds what the sockets' own buffers hold, so that a reader that
    is paused or slow is soon felt by the target. ``seed`` repeats the cuts.
    """

    rate = _both("rate")
    delay = _both("delay")
    cut = _both("cut")
    paused = _both("paused")
    lost = _both("lost")

    def __init__(self, target: int, *, buffer: int | None = None, seed: int | None = None) -> None:
        self.target = target  # May be changed: a server that came back elsewhere.
        self.up, self.down = Way(), Way()
        self.refusing = False
        self.accepted = 0
        self.random = random.Random(seed)
        self._buffer = buffer
        self._pairs: set[_Pair] = set()

    # Steering: from any thread ------------------------------------------------

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    def reset(self) -> int:
        """Break all connections, as a crash of the network's middle would; say how many."""
        return self._each(_Pair.reset, ends=True)

    def half_close(self, way: Way) -> int:
        """Send the end on a way: what its source still sends is thrown away."""
        return self._each(lambda pair: pair.half_close(way))

    def _each(self, act: "Callable[[_Pair], None]", *, ends: bool = False) -> int:
        async def act_on_all() -> int:
            pairs = list(self._pairs)
            for pair in pairs:
                act(pair)
            if ends:
                await asyncio.gather(*(pair.task for pair in pairs), return_exceptions=True)
            return len(pairs)

        return self._call(act_on_all())

    def _call(self, coroutine: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    # Running ------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._listener = socket.socket()
        if self._buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        accepting = asyncio.create_task(self._accept())
        ready.set()
        await self._stop.wait()
        accepting.cancel()
        tasks = [pair.task for pair in self._pairs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(accepting, *tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            self.accepted += 1
            if self.refusing:
                _break(client)
                continue
            pair = _Pair(self, client, self._buffer)
            self._pairs.add(pair)
            pair.task = asyncio.create_task(pair.run())
            pair.task.add_done_callback(lambda _, pair=pair: self._pairs.discard(pair))


class _Pair:
    """A client's connection and the one made for it."""

    task: "asyncio.Task[None]"

    def __init__(self, proxy: Proxy, client: socket.socket, buffer: int | None) -> None:
        self.proxy = proxy
        self.client = client
        self.target = socket.socket()
        if buffer:
            self.target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            self.target.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        for end in (self.client, self.target):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.shut: set[Way] = set()
        self.loop = asyncio.get_running_loop()

    async def run(self) -> None:
        up, down = self.proxy.up, self.proxy.down
        try:
            await self.loop.sock_connect(self.target, ("127.0.0.1", self.proxy.target))
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self.carry(self.client, self.target, up))
                ways.create_task(self.carry(self.target, self.client, down))
        except* OSError:  # One end broke: so does the other.
            _break(self.client)
            _break(self.target)
        finally:
            self.client.close()
            self.target.close()

    def reset(self) -> None:
        # Cancelled before they are closed: a closed socket's number may be another's soon.
        self.task.cancel()
        for end in (self.client, self.target):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)

    def half_close(self, way: Way) -> None:
        self.shut.add(way)
        with suppress(OSError):
            (self.target if way is self.proxy.up else self.client).shutdown(socket.SHUT_WR)

    async def carry(self, source: socket.socket, sink: socket.socket, way: Way) -> None:
        """Carry one way's bytes to its end, and the end too."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(UNDER_WAY)
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self.read(source, pieces, way))
            halves.create_task(self.write(sink, pieces, way))

    async def read(
        self, source: socket.socket, pieces: "asyncio.Queue[tuple[float, bytes]]", way: Way
    ) -> None:
        while True:
            while way.paused:
                await asyncio.sleep(LOOK_SECONDS)
            data = await self.loop.sock_recv(source, READ_BYTES)
            await pieces.put((self.loop.time() + way.delay, data))
            if not data:
                return

    async def write(
        self, sink: socket.socket, pieces: "asyncio.Queue[tuple[float, bytes]]", way: Way
    ) -> None:
        while True:
            due, data = await pieces.get()
            if due > self.loop.time():
                await asyncio.sleep(due - self.loop.time())
            at_end = not data
            while data:
                while way.paused:
                    await asyncio.sleep(LOOK_SECONDS)
                size = self.next_size(len(data), way)
                if not way.lost and way not in self.shut:
                    await self.loop.sock_sendall(sink, data[:size])
                    way.bytes += size
                if way.rate:
                    await asyncio.sleep(size / way.rate)
                data = data[size:]
            if at_end:
                break
        while way.lost:  # Nobody is told that this end has gone.
            await asyncio.sleep(LOOK_SECONDS)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def next_size(self, rest: int, way: Way) -> int:
        if way.cut:
            return min(rest, self.proxy.random.randint(1, way.cut))
        if way.rate:  # Twenty writes a second, and at least a byte each.
            return min(rest, max(1, int(way.rate / 20)))
        return rest


def _break(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    end.close()
