"""Who answers, as the page lets one choose: a model by its name, or an agent as ``agent:NAME``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chat.agents.registry import known_agents
from chat.llm.registry import ModelInfo
from chat.models import Conversation, PersonaVersion
from chat.views import conversations, schemas
from chat.wire.openai_request import AGENT

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


def model_choice(
    conversation: Conversation | None,
    models: Sequence[ModelInfo],
    default: str,
    persona: PersonaVersion | None = None,
) -> dict[str, Any]:
    """
    Return the context of the model picker; who is chosen is listed even if it is gone.

    ``followed`` is the model where none is chosen: that of the persona, or else the default.
    """
    followed = (persona.model if persona else "") or default
    chosen = (conversation.model if conversation else "") or followed
    agent = conversation.agent if conversation else ""
    agents = known_agents()
    if chosen not in {model.name for model in models}:
        models = [ModelInfo(name=chosen, provider=chosen.partition(":")[0]), *models]
    return {
        "models": models,
        "agents": agents if not agent or agent in agents else {agent: "", **agents},
        "agent": agent,
        "model": chosen,
        "default_model": default,
        "followed_model": followed,
        "is_demo": default == "demo",
    }


def read_choice(value: str, conversation: Conversation | None) -> dict[str, str]:
    """Return what a choice of the picker is in fields of a prompt."""
    if value.startswith(AGENT):
        return {"agent": value.removeprefix(AGENT)}
    had_agent = conversation is not None and conversation.agent != ""
    return {"model": value} | ({"agent": ""} if had_agent else {})


async def keep_choice(
    user: "AbstractBaseUser", conversation: Conversation | None, choice: dict[str, str]
) -> None:
    """Have a conversation that is there already go on with what was chosen."""
    if conversation is None:
        return
    # Names are checked when they are asked; here only what is new is written.
    changes: dict[str, Any] = {
        name: value for name, value in choice.items() if getattr(conversation, name) != value
    }
    if changes:
        change = schemas.ConversationChange(**changes)
        await conversations.change(user, conversation.pk, change)
