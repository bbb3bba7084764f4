"""
What belongs to a user: one list, for taking it out and for erasing it.

Every model with a way to the user model stands here; a test finds those that do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Field, Model, QuerySet

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """The rows of a model that are a user's."""

    label: str
    owner: str  # The way from a row to its user.
    # Columns that are not taken out, each with the reason.
    left_out: dict[str, str] = field(default_factory=dict)
    # Why its rows are not in an export, if they are not.
    not_exported: str = ""
    # Why its rows outlive their user, if they do; without their name.
    not_erased: str = ""

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.label)

    def rows_of(self, user: "AbstractBaseUser") -> QuerySet[Any]:
        return self.model._default_manager.filter(**{self.owner: user.pk})

    @property
    def columns(self) -> list["Field[Any, Any]"]:
        fields = self.model._meta.concrete_fields
        return [each for each in fields if each.name not in self.left_out]


BELONGINGS = (
    Belonging(label="chat.Conversation", owner="owner"),
    Belonging(label="chat.Message", owner="conversation__owner"),
    Belonging(
        label="chat.Generation",
        owner="owner",
        left_out={
            "worker": "names a process of the site",
            "epoch": "counts processes of the site",
        },
    ),
    Belonging(
        label="chat.Attachment", owner="owner", left_out={"content": "is a file of the export"}
    ),
    Belonging(
        label="chat.Share", owner="conversation__owner", left_out={"token": "opens the link"}
    ),
    Belonging(
        label="chat.Step",
        owner="generation__owner",
        left_out={"error": "is a traceback of the site’s program"},
    ),
    Belonging(label="chat.Annotation", owner="step__generation__owner"),
    Belonging(label="chat.Timing", owner="generation__owner"),
    Belonging(label="chat.Provenance", owner="generation__owner"),
    Belonging(label="chat.Rating", owner="owner"),
    Belonging(
        label="chat.StoredEvent",
        owner="generation__owner",
        not_exported="says what the messages say, and is deleted minutes after the answer",
    ),
    Belonging(label="chat.ApiKey", owner="owner", left_out={"digest": "checks the key"}),
    Belonging(label="chat.Preferences", owner="owner"),
    Belonging(label="chat.Persona", owner="owner"),
    Belonging(
        label="chat.Persona_groups",
        owner="persona__owner",
        not_exported="says for whom personas of the site are; one's own have none",
    ),
    Belonging(label="chat.PersonaVersion", owner="persona__owner"),
    Belonging(label="chat.Budget", owner="user"),
    Belonging(
        label="chat.Usage", owner="user", not_erased="sums, of which budgets and bills are made"
    ),
    Belonging(
        label="chat.Spending",
        owner="user",
        not_exported="holds estimates while an answer is written; then they stand in the usage",
    ),
    Belonging(label="admin.LogEntry", owner="user"),
)


def belongings() -> Iterator[Belonging]:
    """Yield those whose app is installed: a project may be without Django's admin."""
    for each in BELONGINGS:
        if apps.is_installed("django.contrib.admin") or not each.label.startswith("admin."):
            yield each


def strange_models() -> list[str]:
    """Return the models with a way to the user model that nobody has said anything of."""
    known = {each.label.lower() for each in BELONGINGS}
    # The account, and which groups and permissions it has, stand in the account's own file.
    known |= {_label(get_user_model())}
    known |= {_label(each) for each in _through(get_user_model())}
    found = (model for model in apps.get_models(include_auto_created=True) if ways_to_user(model))
    return sorted(_label(model) for model in found if _label(model) not in known)


def ways_to_user(
    model: type[Model], *, seen: frozenset[type[Model]] = frozenset()
) -> list[list["Field[Any, Any]"]]:
    """Return the chains of foreign keys that lead from a model to the user model."""
    ways = []
    for each in model._meta.concrete_fields:
        target = each.related_model
        if not isinstance(target, type) or target in seen | {model}:
            continue
        if target is get_user_model():
            ways.append([each])
        else:
            rest = ways_to_user(target, seen=seen | {model})
            ways += [[each, *way] for way in rest]
    return ways


def _label(model: type[Model]) -> str:
    return model._meta.label_lower


def _through(model: type[Model]) -> list[type[Model]]:
    tables = (each.remote_field.through for each in model._meta.many_to_many)
    return [each for each in tables if each is not None]
