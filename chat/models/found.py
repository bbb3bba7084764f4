"""Messages that are found by what is in them."""

from collections.abc import Collection, Iterable
from typing import Self, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models.functions import Left

from chat.models.search import Words
from chat.models.search_index import MAX_CHARS
from chat.models.snippets import Part, snippet
from chat.models.tree import path_up

M = TypeVar("M", bound=models.Model)


class FoundQuerySet(models.QuerySet[M]):
    """Of messages."""

    def matching(self, words: Words, conversations: Collection[UUID] | None = None) -> Self:
        """
        Return those that have all the words in the part of their text that is indexed.

        Of some conversations, or of any.
        """
        return self.exclude(role="system").filter(words.in_messages(conversations))

    def branch(self, leaf: UUID | None = None, *, limit: int | None = None) -> list[UUID]:
        """
        Return the ids from a leaf, or else the newest one, up to the root.

        Of one conversation's messages; none if the leaf is not among them. With a limit
        at most so many, and no more than those are read.
        """
        rows = self if leaf is None else self.filter(pk=leaf)
        return path_up(rows.order_by("-id").values("id")[:1], limit=limit)

    def kept(self) -> Self:
        """Other than prompts that were taken out of a queue, and their answers."""
        taken = models.Q(generation__status="stopped", generation__started_at=None)
        answers = self.model._default_manager.filter(parent=models.OuterRef("pk"))
        withdrawn = models.Exists(answers) & ~models.Exists(answers.exclude(taken))
        itself = self.model._default_manager.filter(taken, pk=models.OuterRef("pk"))
        return self.exclude(models.Exists(itself)).exclude(models.Q(withdrawn, role="user"))

    def newest_kept(self) -> UUID | None:
        """Return the newest one, other than prompts that were taken out of a queue."""
        return self.kept().order_by("-id").values_list("id", flat=True).first()

    def with_siblings(self) -> Self:
        """Annotate ``has_siblings``: whether anything stands beside it, below the same message."""
        others = self.model._default_manager.exclude(pk=models.OuterRef("pk"))
        roots = others.filter(conversation=models.OuterRef("conversation"), parent=None)
        beside = models.Exists(others.filter(parent=models.OuterRef("parent")))
        # Only at the root is the whole conversation looked through.
        found = models.Case(models.When(parent=None, then=models.Exists(roots)), default=beside)
        return self.annotate(has_siblings=found)

    def with_thought(self) -> Self:
        """Annotate ``thought_ms``: how long an answer was thought about, None if unknown."""
        return self.annotate(thought_ms=models.F("generation__timing__thought_ms"))

    def versions(self, parents: Iterable[UUID | None]) -> dict[UUID | None, list[UUID]]:
        """Return what stands below each of these, or at the root for None, oldest first."""
        ids = list(parents)
        below = models.Q(parent__in=[pk for pk in ids if pk])
        if None in ids:
            below |= models.Q(parent=None)
        found: dict[UUID | None, list[UUID]] = {}
        rows = self.kept().filter(below).exclude(role="system").order_by("id")
        for parent, pk in rows.values_list("parent_id", "id"):
            found.setdefault(parent, []).append(pk)
        return found

    def snippets(self, conversations: Iterable[UUID], words: Words) -> dict[UUID, list[Part]]:
        """
        Return what stands around the words in the newest message that has them.

        By conversation, for those that have one; in one query.
        """
        if not words.any:
            return {}
        found = self.matching(words, list(conversations)).order_by()
        if connection.features.can_distinct_on_fields:
            newest = found.order_by("conversation_id", "-id").distinct("conversation_id")
        else:
            last = found.values("conversation_id").annotate(last=models.Max("pk"))
            newest = self.filter(pk__in=last.values("last"))
        beginnings = newest.values_list("conversation_id", Left("text", MAX_CHARS))
        return {pk: snippet(text, words.pattern) for pk, text in beginnings}
