"""The last link of the chain: LangChain's message chunks to pieces."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig

from chat.llm.pieces import Piece
from chat.text import clean_text, images_of

MESSAGES = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage}
FINISH = ("finish_reason", "done_reason", "stop_reason")
COUNTS = ("input_tokens", "output_tokens", "total_tokens")


class PieceParser(Runnable[BaseMessage, Piece]):
    """
    Keep what LangChain's own string parser drops: finish reason, usage, reasoning.

    For one stream; ``aclose()`` closes the model's end of it.
    """

    def __init__(self) -> None:
        self._input: AsyncIterator[BaseMessage] | None = None

    def invoke(
        self,
        input: BaseMessage,  # noqa: A002 - LangChain's name.
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Piece:
        return piece_from(input)

    async def atransform(
        self,
        input: AsyncIterator[BaseMessage],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Piece]:
        self._input = input
        async for message in input:
            piece = piece_from(message)
            if piece.text or piece.reasoning or piece.step or piece.finish_reason or piece.usage:
                yield piece

    async def aclose(self) -> None:
        # LangChain leaves the generators between its links to the garbage
        # collector; a stop must not wait for that.
        if (close := getattr(self._input, "aclose", None)) is not None:
            await close()


def piece_from(message: BaseMessage) -> Piece:
    """Return what a chunk of any LangChain chat model says."""
    extra, metadata = message.additional_kwargs, message.response_metadata
    content = message.content
    reasoning = extra.get("reasoning_content") or ""
    if not isinstance(content, str):
        reasoning = reasoning or _reasoning_blocks(content)
        content = str(message.text)
    finish_reason = None
    if metadata:
        finish_reason = next((metadata[key] for key in FINISH if metadata.get(key)), None)
    return Piece(
        text=clean_text(content),
        reasoning=clean_text(reasoning),
        step=extra.get("step"),
        finish_reason=None if finish_reason is None else str(finish_reason)[:50],
        usage=usage_from(getattr(message, "usage_metadata", None)),
    )


def usage_from(usage: Any) -> dict[str, int] | None:
    """Return the counts, or None when one of them is no count."""
    if not usage:
        return None
    counts = {key: usage.get(key) for key in COUNTS}
    plausible = all(type(count) is int and 0 <= count < 2**53 for count in counts.values())
    return counts if plausible else None


def messages_from(history: Sequence[tuple[str, str]]) -> list[BaseMessage]:
    """Return (role, text) pairs as LangChain's messages. The text stays plain data."""
    return [MESSAGES[role](content=_content(text)) for role, text in history]


def _content(text: str) -> Any:
    """Return a text, and the images beside it as parts of their own."""
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in images_of(text)]
    return [{"type": "text", "text": str(text)}, *pictures] if pictures else text


def _reasoning_blocks(content: list[Any]) -> str:
    blocks = [block for block in content if isinstance(block, dict)]
    return "".join(
        str(block.get("reasoning") or block.get("thinking") or "")
        for block in blocks
        if block.get("type") in {"reasoning", "thinking"}
    )
