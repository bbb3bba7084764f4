"""Asking a chat model inside an action: nothing of it reaches the reader but its retries."""

from collections.abc import Sequence
from contextlib import aclosing

from chat.agents.context import Context
from chat.chain import stream_answer
from chat.llm.choices import word_in
from chat.llm.pieces import Piece

SYSTEM = "You are a helpful assistant."
MAX_CHARS = 4000  # A model that goes on and on has not understood the question.


async def ask_for_word(
    context: Context, question: str, words: Sequence[str], *, model: str = ""
) -> str | None:
    """
    Return the word that a model chooses, None if it chooses none.

    Without ``model`` the conversation's own is asked. What it used is counted
    in the step. Raise a ModelError as the chain does.
    """
    parts: list[str] = []
    left = MAX_CHARS
    answer = stream_answer(model=model or context.model, system=SYSTEM, history=(), prompt=question)
    async with aclosing(answer) as pieces:
        async for piece in pieces:
            if piece.step or piece.usage:
                await context.put(Piece(step=piece.step, usage=piece.usage))
            parts.append(piece.text)
            left -= len(piece.text)
            if left < 0:
                break
    return word_in("".join(parts), words)
