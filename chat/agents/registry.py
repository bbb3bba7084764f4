"""Which agents there are, and the graph behind each name."""

import asyncio
import inspect
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from chat.agents.context import turn
from chat.agents.graph import Graph, describe
from chat.conf import chat_settings
from chat.errors import UnknownAgent
from chat.llm.registry import warm_up

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

logger = logging.getLogger(__name__)

BUILT_IN = {"router": "chat.agents.router.build"}
MAX_NAME = 100
ASKED = ("prompt", "history", "chat_history", "messages")

_agents: dict[str, "Agent"] = {}
_building = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A compiled graph, and what it says of itself."""

    name: str
    description: str
    graph: Graph
    compiled: "Pregel[Any, Any, Any, Any]"
    takes: frozenset[str]  # Of what is asked, the parts that its input has.

    @property
    def declares(self) -> bool:
        """Whether its actions declare themselves, and give their text with ``Context.put()``."""
        return any(action.is_declared for action in self.graph.actions)

    def input(self, history: Sequence[tuple[str, str]], prompt: str) -> dict[str, Any]:
        """Return what it is asked, in the forms that it takes."""
        from chat.llm.parser import messages_from

        asked = {
            "prompt": prompt,
            "history": [{"role": role, "content": text} for role, text in history],
            "chat_history": [turn(role, text) for role, text in history],
            "messages": messages_from([*history, ("user", prompt)]),
        }
        return {name: value for name, value in asked.items() if name in self.takes}


def agent_entries() -> Mapping[str, Any]:
    """Return what the settings say of each agent, by its name."""
    return BUILT_IN | dict(chat_settings().agents)


def check_agent_name(name: str) -> None:
    """Raise UnknownAgent for a name that is not set up. Loads nothing."""
    if name not in (known := agent_entries()):
        names = ", ".join(known)
        raise UnknownAgent(f"No agent is called {name[:100]!r}. There are: {names}.")


def known_agents() -> dict[str, str]:
    """Return each agent's name and, as far as it is known without loading any, what it does."""
    return {name: _told(name, entry) for name, entry in agent_entries().items()}


def _told(name: str, entry: Any) -> str:
    if (agent := _agents.get(name)) is not None:
        return agent.description
    path = entry if isinstance(entry, str) else dict(entry).get("class", "")
    # Of ours alone: to look at somebody else's function would load its libraries.
    return _description(import_string(path)) if path.startswith("chat.") else ""


def _description(builder: Any) -> str:
    described = inspect.getdoc(builder) or ""
    return " ".join(described.partition("\n\n")[0].split())


async def load_agent(name: str) -> Agent:
    """
    Return an agent, built aside when it is used for the first time.

    Raise UnknownAgent; ImproperlyConfigured for one that cannot be built.
    """
    check_agent_name(name)
    if (agent := _agents.get(name)) is not None:
        return agent
    await warm_up()
    return await asyncio.to_thread(_build_once, name)


async def available_agents() -> list[Agent]:
    """Return the agents that can be built, the built-in one first."""
    found = []
    for name in agent_entries():
        try:
            found.append(await load_agent(name))
        except ImproperlyConfigured:
            logger.exception("An agent cannot be listed")
    return found


def _build_once(name: str) -> Agent:
    # Two threads in the midst of LangChain's circular imports would wait for each other.
    with _building:
        if name not in _agents:
            _agents[name] = _build(name)
        return _agents[name]


def _build(name: str) -> Agent:
    from langgraph.pregel import Pregel

    entry = agent_entries()[name]
    options = {"class": entry} if isinstance(entry, str) else dict(entry)
    try:
        builder = import_string(options.pop("class"))
        compiled = builder(**options)
    except (ImportError, KeyError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"The agent {name!r} of CHAT['AGENTS'] is not usable.") from exc
    if not isinstance(compiled, Pregel):
        raise ImproperlyConfigured(f"The agent {name!r} of CHAT['AGENTS'] is no compiled graph.")
    takes = _takes(compiled)
    if not takes:
        raise ImproperlyConfigured(f"The agent {name!r} takes none of {', '.join(ASKED)}.")
    return Agent(
        name=name,
        description=_description(builder),
        graph=describe(compiled),
        compiled=compiled,
        takes=takes,
    )


def _takes(compiled: Any) -> frozenset[str]:
    schema = getattr(getattr(compiled, "builder", None), "input_schema", None)
    if schema is None:  # A function as a graph: it gets one dict, and takes what it likes.
        return frozenset({"prompt", "history"})
    return frozenset(get_type_hints(schema)) & frozenset(ASKED)


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHAT":
        _agents.clear()
