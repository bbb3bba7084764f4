"""
Burr's own example of a streaming server, without its tracker: nothing is stored.

A state machine is built for each question from one graph, as there for each new chat.
"""

from collections.abc import AsyncIterator
from typing import Any

from burr.core import Application, ApplicationBuilder, GraphBuilder, State, action
from burr.core.action import streaming_action
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI
from pydantic import BaseModel

from bench.peers.prompt import SYSTEM

application = FastAPI()
# The example makes a client for each question, which costs more than all the rest.
client = AsyncOpenAI()


@action(reads=["chat_history"], writes=["chat_history"])
def prompt(state: State, question: str) -> State:
    return state.append(chat_history={"role": "user", "content": question})


@streaming_action(reads=["chat_history"], writes=["chat_history"])
async def answer(state: State) -> AsyncIterator[tuple[dict[str, Any], State | None]]:
    messages = [{"role": "system", "content": SYSTEM}, *state["chat_history"]]
    chunks = await client.chat.completions.create(model="bench", messages=messages, stream=True)
    deltas: list[str] = []
    async for chunk in chunks:
        if chunk.choices and (delta := chunk.choices[0].delta.content):
            deltas.append(delta)
            yield {"delta": delta}, None
    item = {"role": "assistant", "content": "".join(deltas)}
    yield {"response": item}, state.append(chat_history=item)


graph = (
    GraphBuilder()
    .with_actions(prompt=prompt, answer=answer)
    .with_transitions(("prompt", "answer"), ("answer", "prompt"))
    .build()
)


def build_application() -> Application[Any]:
    builder = ApplicationBuilder().with_graph(graph).with_entrypoint("prompt")
    return builder.with_state(chat_history=[]).build()


class Question(BaseModel):
    question: str


@application.post("/stream")
async def stream(question: Question) -> StreamingResponse:
    _, items = await build_application().astream_result(
        halt_after=["answer"], inputs={"question": question.question}
    )

    async def events() -> AsyncIterator[str]:
        async for item in items:
            yield f"data: {item['delta']}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
