"""The chain, ``prompt | llm | parser``, in stream mode."""

import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, cast

from chat.conf import chat_settings
from chat.errors import ModelError, UpstreamError
from chat.llm import served
from chat.llm.pieces import Piece as Piece  # Part of what this module offers.
from chat.llm.registry import get_chat_model, warm_up
from chat.text import images_of

if TYPE_CHECKING:
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import Runnable

logger = logging.getLogger("chat.chain")

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 1000


async def stream_answer(
    *,
    model: str,
    system: str,
    history: Sequence[tuple[str, str]],
    prompt: str,
    options: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Piece, None]:
    """
    Ask the model and yield its answer as it arrives.

    ``history`` holds (role, text), oldest first, without the prompt; its oldest
    turns are left out when all would not fit what the model can read; texts may be
    Illustrated. ``options`` go to the model, as it would be called with them. Raise
    UnknownModel before the first piece, and a ModelError for whatever the model
    does, after all the text that came before it. Closing the generator, or
    cancelling the task that reads it, closes the connection to the model.
    """
    await warm_up()
    from chat.llm.parser import PieceParser, messages_from

    llm = get_chat_model(model)
    asked = llm.bind(**options) if options else llm
    parser = PieceParser()
    chain = _template(with_system=bool(system)) | asked | parser
    size = served.context_of(model)
    kept = within_context(system=system, history=history, prompt=prompt, tokens=size)
    asked_last = messages_from([("user", prompt)])
    variables = {"system": system, "history": messages_from(kept), "prompt": asked_last}
    stream = _stream(chain, variables)
    finished = False
    with _as_model_error(model):
        async with aclosing(parser), aclosing(stream) as pieces:
            async for piece in pieces:
                finished = finished or piece.finish_reason is not None
                yield piece
    if not finished:
        # The site's own models raise for an answer without a finish reason;
        # for any other, the end that LangChain reports has to do.
        yield Piece(finish_reason="stop")


@contextmanager
def _as_model_error(model: str) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except Exception as exc:
        logger.exception("The model %r failed", model)
        raise UpstreamError from exc


def _stream(
    chain: "Runnable[Any, Piece]", variables: dict[str, Any]
) -> AsyncGenerator[Piece, None]:
    from langchain_core.callbacks import AsyncCallbackManager
    from langchain_core.runnables import RunnableBinding, RunnableSequence

    if AsyncCallbackManager.configure().handlers or not isinstance(chain, RunnableSequence):
        return cast(AsyncGenerator[Piece, None], chain.astream(variables))
    # As `astream()` joins the links, without the task that it makes for every
    # chunk: it keeps callbacks apart, and there are none.
    stream: AsyncIterator[Any] = _only(variables)
    for link in chain.steps:
        if isinstance(link, RunnableBinding):  # Asked by itself, so that closing reaches it.
            stream = link.bound.atransform(stream, **link.kwargs)
        else:
            stream = link.atransform(stream)
    return cast(AsyncGenerator[Piece, None], stream)


async def _only(value: Any) -> AsyncIterator[Any]:
    yield value


def within_context(
    *, system: str, history: Sequence[tuple[str, str]], prompt: str, tokens: int | None = None
) -> Sequence[tuple[str, str]]:
    """
    Return the newest whole turns that fit so many tokens beside the prompt, by estimate.

    If it is not said how many, then ``CONTEXT_TOKENS``.
    """
    left = (tokens or chat_settings().context_tokens) - _tokens(system) - _tokens(prompt)
    start = len(history)
    for index in range(len(history) - 1, -1, -1):
        role, text = history[index]
        left -= _tokens(text)
        if left < 0:
            return history[start:]
        if role == "user":  # A turn begins with what the user said.
            start = index
    return history


def _tokens(text: str) -> int:
    images = TOKENS_PER_IMAGE * len(images_of(text))
    return len(text) // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE + images


@functools.cache
def _template(*, with_system: bool) -> "ChatPromptTemplate":
    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder

    # What people write is only ever the value of a variable: as a template, its
    # braces would be read as code.
    system = [("system", "{system}")] if with_system else []
    rest = [MessagesPlaceholder("history"), MessagesPlaceholder("prompt")]
    return ChatPromptTemplate([*system, *rest])
