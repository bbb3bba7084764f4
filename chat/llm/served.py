"""
The models that staff have defined, as this process knows them.

What is in force is put here by whoever reads the database (`chat.access`), so
that asking costs nothing, and no model asks the database.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from chat.conf import chat_settings

Groups = frozenset[Any] | None  # Somebody's, by their ids. None: the site itself, which may all.


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One model as staff have defined it; its key stays encrypted."""

    name: str
    label: str = ""
    description: str = ""
    provider: str = "openai"
    model: str = ""  # As its server calls it.
    base_url: str = ""  # Empty: the site's address for that provider.
    sealed_key: str = field(default="", repr=False)
    images: bool | None = None  # None: by its name.
    options: tuple[tuple[str, Any], ...] = ()  # What its answers are asked for, if not otherwise.
    context_tokens: int | None = None
    groups: frozenset[Any] = frozenset()  # Who may use it; none: everybody.

    @property
    def describes(self) -> bool:
        """Whether it only says something of a model that is found without it."""
        return not self.base_url and is_found_name(self.name)

    def is_for(self, groups: Groups) -> bool:
        return groups is None or not self.groups or not self.groups.isdisjoint(groups)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All of them, in the order of the list; of those that are off, the names."""

    rows: Mapping[str, Served] = field(default_factory=dict)
    off: frozenset[str] = frozenset()

    @property
    def is_limited(self) -> bool:
        """Whether it matters who asks."""
        return any(row.groups for row in self.rows.values())


NONE = Catalogue()
_catalogue = NONE
_tried: ContextVar[Served | None] = ContextVar("tried", default=None)
# For whom the answer is that is being written: agents and titles ask models, too.
asking: ContextVar[Groups] = ContextVar("asking", default=None)


def catalogue() -> Catalogue:
    """Return what is in force."""
    return _catalogue


def put(found: Catalogue) -> None:
    """Let this be in force, in this process."""
    global _catalogue
    _catalogue = found


def find(name: str) -> Served | None:
    """Return the model that staff have defined by this name, if it is on."""
    tried = _tried.get()
    return tried if tried is not None and tried.name == name else _catalogue.rows.get(name)


@contextmanager
def trying(row: Served) -> Iterator[None]:
    """Let a model be there for what is done inside, as it is given, on or off."""
    token = _tried.set(row)
    try:
        yield
    finally:
        _tried.reset(token)


def is_found_name(name: str) -> bool:
    """Tell whether a name has a form that needs nobody to define it."""
    provider, _, model = name.partition(":")
    known = provider == "demo" or (provider in {"openai", "ollama"} and model != "")
    return known or name in chat_settings().models


def is_usable(name: str, groups: Groups = None) -> bool:
    """Tell whether a model is there for whoever is in these groups. Asks no provider."""
    row = find(name)
    if row is not None:
        return row.is_for(groups)
    if name in _catalogue.off or chat_settings().models_listed_only:
        return False
    return is_found_name(name)


def options_of(name: str) -> dict[str, Any]:
    """Return what answers of a model are asked for where nobody says otherwise."""
    row = find(name)
    return dict(row.options) if row else {}


def context_of(name: str) -> int:
    """Return how many tokens a model can read."""
    row = find(name)
    return (row.context_tokens if row else None) or chat_settings().context_tokens


def provider_of(name: str) -> str:
    """Return who serves a model: ``openai``, ``ollama``, ``demo``, or else."""
    row = find(name)
    if row is not None and not row.describes:
        return row.provider
    return "configured" if name in chat_settings().models else name.partition(":")[0]
