"""What a provider's own moderation says of a text."""

import openai

from chat.conf import chat_settings
from chat.errors import UpstreamRejected
from chat.llm import served
from chat.llm.clients import shared_client
from chat.llm.failures import from_exception
from chat.llm.openai_compatible import TRANSPORT_ERRORS, OpenAICompatibleChat
from chat.llm.registry import get_chat_model

DEFAULT_MODEL = "omni-moderation-latest"


async def flagged_as(text: str, *, model: str, moderation: str = DEFAULT_MODEL) -> list[str] | None:
    """
    Return the categories in which the provider of a chat model flags a text, none if it does not.

    None if that is no provider with the OpenAI API. Raise a ModelError if it
    cannot say.
    """
    llm = get_chat_model(model)
    if not isinstance(llm, OpenAICompatibleChat) or served.provider_of(model) == "ollama":
        return None
    client = await shared_client(llm.base_url, llm.api_key.get_secret_value())
    wait = chat_settings().first_token_timeout
    try:
        answer = await client.moderations.create(model=moderation, input=text, timeout=wait)
    except openai.NotFoundError as exc:
        raise UpstreamRejected("The model server has no moderation of its own.") from exc
    except TRANSPORT_ERRORS as exc:
        raise from_exception(exc) from exc
    return [
        name
        for result in answer.results
        if result.flagged
        for name, is_flagged in result.categories.model_dump(by_alias=True).items()
        if is_flagged
    ]
