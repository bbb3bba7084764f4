import argparse
import asyncio
import contextlib

from tests.upstream.server import Upstream

parser = argparse.ArgumentParser(prog="python -m tests.upstream")
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--host", default="127.0.0.1")
options = parser.parse_args()


async def main():
    server = await Upstream().serve(host=options.host, port=options.port)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"http://{host}:{port}/v1", flush=True)  # noqa: T201
    await server.serve_forever()


with contextlib.suppress(KeyboardInterrupt):
    asyncio.run(main())
