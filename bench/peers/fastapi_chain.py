"""FastAPI streaming a chain as server-sent events."""

from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from bench.peers.chain import build_chain

application = FastAPI()
application.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"])
chain = build_chain()


class Question(BaseModel):
    question: str


async def events(question: str) -> AsyncIterator[str]:
    async for token in chain.astream({"input": question}):
        yield f"data: {token}\n\n"


@application.post("/stream")
async def stream(question: Question) -> StreamingResponse:
    return StreamingResponse(events(question.question), media_type="text/event-stream")
