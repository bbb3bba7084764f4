"""
What the model is told and asked for besides the messages.

A request comes before its conversation, the conversation before the version of a persona
that it is pinned to, that before what staff say of the model, and the site comes last.
"""

from collections.abc import Mapping
from typing import Any

from chat.llm import served
from chat.models import Conversation

LENGTHS = ("max_tokens", "max_completion_tokens")


def merged(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return the options of all layers, of which a later one comes before an earlier one.

    A length has two names: whichever is said last takes the other's place.
    """
    result: dict[str, Any] = {}
    for layer in layers:
        given = {name: value for name, value in (layer or {}).items() if value is not None}
        if any(name in given for name in LENGTHS):
            for name in LENGTHS:
                result.pop(name, None)
        result |= given
    return result


def model_of(conversation: Conversation, *, asked: str, default: str) -> str:
    """Return the model that answers. Part of a unit of database work."""
    persona = conversation.persona_version
    return asked or conversation.model or (persona.model if persona else "") or default


def in_force(
    conversation: Conversation, *, model: str, told: str | None, asked: Mapping[str, Any] | None
) -> tuple[str | None, dict[str, Any]]:
    """
    Return the system prompt, None for the site's, and the options of an answer.

    ``told`` is what a client tells as system with its messages; an empty one is none.
    Part of a unit of database work.
    """
    persona = conversation.persona_version
    own = conversation.system_prompt or (persona.system_prompt if persona else "") or None
    persona_options = persona.parameters if persona else None
    options = merged(served.options_of(model), persona_options, conversation.parameters, asked)
    return own if told is None else told, options
