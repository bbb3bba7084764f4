"""
Conversations as Burr's clients know them: applications in projects. Units of database work.

What such a client has made is found by its own name for it. All other
conversations of a user stand in one project more, under their ids.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Count, Max, Min, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Left, StrIndex, Substr
from django.db.models.lookups import Exact
from django.utils import timezone

from chat.conf import chat_settings
from chat.errors import RateLimited
from chat.generations.history import path_to
from chat.models import Conversation, Generation, Message, Step
from chat.wire import burr, burr_tracking
from chat.wire.burr_requests import PROJECT, Page
from chat.wire.failures import INTERRUPTED
from chat.wire.forms import wrong

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

PREFIX = "burr:"
OTHERS = "chat"  # The project of what other clients have made, the chat page among them.
AGENT = "router"  # Burr's own state machine.
NO_PARTITION = {"", "__none__", "null"}
APP = r"[^\x00-\x1f\x7f/]{1,180}"
MINUTE = timedelta(minutes=1)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class App:
    """The name of an application. Raise Unprocessable for one that cannot be."""

    project: str
    id: str

    def __post_init__(self) -> None:
        check_project(self.project)
        if not re.fullmatch(APP, self.id):
            raise wrong("path", "app_id", message="It has 1 to 180 characters.")

    @property
    def client_id(self) -> str:
        return f"{PREFIX}{self.project}/{self.id}"


def check_project(name: str) -> None:
    """Raise Unprocessable for a name that no project can have."""
    if not re.fullmatch(PROJECT, name):
        allowed = "It has 1 to 100 letters, digits, '_', '-' and ':'."
        raise wrong("path", "project_id", message=allowed)


def find(user: "AbstractBaseUser", app: App) -> Conversation | None:
    """Return the user's conversation of that name, None where there is none."""
    owned = Conversation.objects.owned_by(user)
    found = owned.filter(client_id=app.client_id).first()
    if found is None and app.project == OTHERS and (pk := _as_uuid(app.id)):
        found = owned.filter(_is_others(), pk=pk).first()
    return found


def find_or_create(user: "AbstractBaseUser", app: App) -> tuple[Conversation, bool]:
    """Return the conversation of that name, and whether it was made just now. Raise RateLimited."""
    if found := find(user, app):
        return found, False
    limit = chat_settings().messages_per_minute
    since = timezone.now() - MINUTE
    new = Conversation.objects.owned_by(user).filter(_is_named(PREFIX), created_at__gt=since)
    if new.count() >= limit:
        raise RateLimited(f"At most {limit} applications a minute are made.", retry_after=60)
    return Conversation.objects.alive().get_or_create(
        owner_id=user.pk, client_id=app.client_id, defaults={"agent": AGENT}
    )


def name_of(conversation: Conversation) -> str:
    """Return what a conversation is called in its project."""
    name = conversation.client_id or ""
    return name.partition("/")[2] if name.startswith(PREFIX) else str(conversation.pk)


def in_project(user: "AbstractBaseUser", project: str) -> QuerySet[Conversation]:
    """Return the user's conversations of a project."""
    place = _is_named(f"{PREFIX}{project}/")
    if project == OTHERS:
        place |= _is_others()
    return Conversation.objects.owned_by(user).listed().filter(place)


def list_projects(user: "AbstractBaseUser", *, address: str) -> list[Json]:
    """Return the user's projects, the one of other clients only if there is something in it."""
    owned = Conversation.objects.owned_by(user).order_by()
    start = len(PREFIX) + 1  # SQL counts from 1.
    name = Substr("client_id", start, StrIndex("client_id", Value("/")) - start)
    named = _measured(owned.filter(_is_named(PREFIX)).values(project=name))
    rows = {row.pop("project"): row for row in named}
    others = _measured(owned.filter(_is_others()).values(project=Value(OTHERS)))
    for row in others:
        del row["project"]
        rows[OTHERS] = _joined(rows[OTHERS], row) if OTHERS in rows else row
    return [burr_tracking.project(name, address=address, **row) for name, row in rows.items()]


def _measured(rows: Any) -> Iterable[Json]:
    found: Iterable[Json] = rows.annotate(
        apps=Count("pk"), created=Min("created_at"), updated=Max("updated_at")
    ).filter(apps__gt=0)  # Grouped by a constant, nothing is a row too.
    return found


def _joined(a: Json, b: Json) -> Json:
    return {
        "apps": a["apps"] + b["apps"],
        "created": min(a["created"], b["created"]),
        "updated": max(a["updated"], b["updated"]),
    }


def list_page(user: "AbstractBaseUser", project: str, partition: str, page: Page) -> Json:
    """Return applications of a project, the one used last first."""
    rows = in_project(user, project)
    if partition not in NO_PARTITION:
        rows = rows.none()
    total = rows.count()
    end = page.offset + page.limit
    shown = rows.annotate(step_count=_step_count()).select_related(
        "forked_from__conversation", "forked_from__generation", "forked_at_step"
    )[page.offset : end]
    return burr_tracking.page(map(_summary, shown), total=total, has_another=total > end)


def _summary(row: Conversation) -> Json:
    return burr_tracking.summary(
        name_of(row),
        created=row.created_at,
        updated=row.updated_at,
        steps=row.step_count,  # type: ignore[attr-defined]
        parent=parent_of(row),
    )


def _step_count() -> Any:
    """Return how many steps a conversation has, a plain answer counting as one."""
    here = Generation.objects.filter(conversation=OuterRef("pk"), started_at__isnull=False)
    plain = here.filter(Q(agent="") | Q(ended_at__isnull=False), steps=None)
    steps = Step.objects.filter(generation__conversation=OuterRef("pk"))
    return _count(steps, "generation__conversation") + _count(plain, "conversation")


def _count(rows: QuerySet[Any], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), 0)


def parent_of(fork: Conversation) -> Json | None:
    """Return the pointer to where a conversation was forked, None if it was not."""
    message = fork.forked_from
    if message is None or message.conversation.is_gone:
        return None
    return burr_tracking.pointer(name_of(message.conversation), _forked_at(fork))


def children_of(conversation: Conversation) -> list[Json]:
    """Return links to the conversations that were forked here, oldest first."""
    forks = (
        Conversation.objects.alive()
        .filter(forked_from__conversation=conversation, owner_id=conversation.owner_id)
        .select_related("forked_from__generation", "forked_at_step")
    )
    return [
        burr_tracking.child(name_of(fork), forked_at=fork.created_at, sequence=_forked_at(fork))
        for fork in forks.order_by("created_at", "pk")
    ]


def _forked_at(fork: Conversation) -> int | None:
    """Return the number of the step after which a conversation was forked, if it has one."""
    if fork.forked_at_step is not None:
        return fork.forked_at_step.sequence
    generation: Generation | None = getattr(fork.forked_from, "generation", None)
    if generation is None:
        return None
    return generation.steps.order_by("-sequence").values_list("sequence", flat=True).first()


def history(end: Message | None) -> list[burr.Item]:
    """Return what was said up to a message, without answers that are still to be written."""
    if end is None:
        return []
    answered = Generation.objects.filter(conversation_id=end.conversation_id)
    rows = answered.only("message_id", "status", "error")
    generations = {each.message_id: each for each in rows}
    items = []
    for message in path_to(end):
        generation = generations.get(message.pk)
        is_unwritten = generation is not None and not generation.is_terminal and not message.text
        if message.role != Message.Role.SYSTEM and not is_unwritten:
            items.append(burr.item(message.role, message.text, error=_why_failed(generation)))
    return items


def _why_failed(generation: Generation | None) -> str:
    if generation is None:
        return ""
    if generation.status == Generation.Status.INTERRUPTED:
        return INTERRUPTED
    return str((generation.error or {}).get("message", ""))


def _is_named(prefix: str) -> Q:
    # Not startswith: SQLite's does not tell "Demo" from "demo".
    return Q(Exact(Left("client_id", len(prefix)), prefix))


def _is_others() -> Q:
    return Q(client_id=None) | ~_is_named(PREFIX)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
