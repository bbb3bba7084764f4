"""What the site's own chat models share: they stream, and cost little per read."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableConfig

# What may be asked of a model besides ``stop``, by the names of the OpenAI API.
OPTIONS = ("max_tokens", "max_completion_tokens", "temperature", "top_p")


def message_chunk(
    text: str = "",
    *,
    reasoning: str = "",
    step: Mapping[str, Any] | None = None,
    finish_reason: str | None = None,
    usage: UsageMetadata | None = None,
) -> AIMessageChunk:
    """Return one read as LangChain's chunk, with the rest where LangChain keeps such things."""
    if text and not (reasoning or step or finish_reason or usage):
        return _text_chunk(text)
    extra: dict[str, Any] = {}
    if reasoning:
        extra["reasoning_content"] = reasoning
    if step:
        extra["step"] = step
    return AIMessageChunk(
        content=text,
        additional_kwargs=extra,
        response_metadata={"finish_reason": finish_reason} if finish_reason else {},
        usage_metadata=usage,
    )


def _text_chunk(text: str) -> AIMessageChunk:
    # Nearly every chunk. Pydantic's checks, of what has just been made here, cost
    # more than all the rest of the chain: so it is a copy of one that passed them.
    chunk = AIMessageChunk.__new__(AIMessageChunk)
    fields = _EMPTY.__dict__ | {"content": text}
    for name in _CONTAINERS:
        fields[name] = type(fields[name])()
    object.__setattr__(chunk, "__dict__", fields)
    object.__setattr__(chunk, "__pydantic_fields_set__", {"content"})
    object.__setattr__(chunk, "__pydantic_extra__", {})
    object.__setattr__(chunk, "__pydantic_private__", None)
    return chunk


_EMPTY = AIMessageChunk(content="")
_CONTAINERS = [name for name, value in vars(_EMPTY).items() if isinstance(value, (dict, list))]


class StreamingChat(BaseChatModel):
    """
    A chat model defined by its stream; the other ways to call it collect that.

    Closing the stream's generator closes what it reads from before it returns.
    """

    @abstractmethod
    def chunks(
        self, messages: list[BaseMessage], *, stop: list[str] | None, **options: Any
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """
        Yield the answer, a chunk per read; the last carries a finish reason.

        ``options`` not among OPTIONS are ignored.
        """

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - LangChain's name.
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As LangChain's, without its bookkeeping per chunk when no callback listens."""
        if self._is_observed(config):
            async for observed in super().astream(input, config, stop=stop, **kwargs):
                yield observed
            return
        messages = self._convert_input(input).to_messages()
        async with aclosing(self.chunks(messages, stop=stop, **kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def atransform(
        self,
        input: AsyncIterator[LanguageModelInput],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """As LangChain's, but closing what it opened."""
        async for value in input:  # A prompt template gives exactly one.
            stream = self.astream(value, config, **kwargs)
            async with aclosing(stream) as chunks:  # type: ignore[type-var]
                async for chunk in chunks:
                    yield chunk

    def _is_observed(self, config: RunnableConfig | None) -> bool:
        given = (config or {}).get("callbacks")
        manager = AsyncCallbackManager.configure(given, self.callbacks, self.verbose)
        return bool(manager.handlers) or self.rate_limiter is not None

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self.chunks(messages, stop=stop, **kwargs)) as chunks:
            async for chunk in chunks:
                yield ChatGenerationChunk(message=chunk)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return asyncio.run(self._agenerate(messages, stop, None, **kwargs))
