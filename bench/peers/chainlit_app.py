"""A Chainlit app as its documentation writes it: the model's deltas, streamed into a message."""

import chainlit as cl
from openai import AsyncOpenAI

from bench.peers.prompt import SYSTEM

client = AsyncOpenAI()


@cl.on_message
async def on_message(message: cl.Message) -> None:
    system = {"role": "system", "content": SYSTEM}
    question = {"role": "user", "content": message.content}
    answer = cl.Message(content="")
    chunks = await client.chat.completions.create(
        model="bench", messages=[system, question], stream=True
    )
    async for chunk in chunks:
        if chunk.choices and (delta := chunk.choices[0].delta.content):
            await answer.stream_token(delta)
    await answer.update()
