"""
A terminal chat as Flowno's users build it: its nodes, its graph, its HTTP client.

Usage:
  flowno_chat.py --url=URL [--model=MODEL]

Options:
  --url=URL      Address of the site.
  --model=MODEL  What to ask for [default: llama-3.3-70b-versatile].

The key is taken from GROQ_API_KEY. Every line of standard input is a prompt; the end
of the input ends the program with an EOFError, as it ends Flowno's own example.
"""

import os
from json import JSONEncoder
from typing import Any, NamedTuple

from docopt import docopt
from flowno import FlowHDL, Stream, node
from flowno.io import Headers, HttpClient
from flowno.io.http_client import HTTPException, streaming_response_is_ok

options = docopt(__doc__)
headers = Headers()
headers.set("Authorization", f"Bearer {os.environ['GROQ_API_KEY']}")
client = HttpClient(headers=headers)


class Said(NamedTuple):
    role: str
    content: str


class Encoder(JSONEncoder):
    def encode(self, o: dict[str, Any]) -> str:
        return super().encode(o | {"messages": [said._asdict() for said in o["messages"]]})


client.json_encoder = Encoder()


@node(stream_in=["answer"])
async def Console(answer: Stream[str] | None = None) -> str:
    """Print an answer while it comes, then ask for the next prompt."""
    if answer:
        async for piece in answer:
            print(piece, end="", flush=True)
        print()
    return input("> ")


@node
class History:
    """All that was said. The default of ``answer`` is what breaks the cycle."""

    said = [Said("system", "You are a helpful assistant.")]

    async def call(self, prompt: str, answer: str = "") -> list[Said]:
        if answer:
            self.said.append(Said("assistant", answer))
        self.said.append(Said("user", prompt))
        return self.said


@node
async def Model(messages: list[Said]):
    """Yield what comes, exactly as trusting as Flowno's example is."""
    body = {"messages": messages, "model": options["--model"], "stream": True}
    response = await client.stream_post(f"{options['--url']}/chat/completions", json=body)
    if not streaming_response_is_ok(response):
        raise HTTPException(response.status, response.body)
    async for data in response.body:
        try:
            choice = data["choices"][0]
            if choice.get("finish_reason"):
                continue
            yield choice["delta"]["content"]
        except KeyError:
            raise ValueError(data) from None


with FlowHDL() as flow:
    flow.model = Model(flow.history)
    flow.console = Console(flow.model)
    flow.history = History(flow.console, flow.model)

flow.run_until_complete()
