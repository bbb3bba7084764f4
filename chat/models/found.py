"""Messages that are found by what is in them."""

from collections.abc import Iterable
from typing import Self, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models.functions import Left

from chat.models.search import Words
from chat.models.search_index import MAX_CHARS
from chat.models.snippets import Part, snippet

M = TypeVar("M", bound=models.Model)


class FoundQuerySet(models.QuerySet[M]):
    """Of messages."""

    def matching(self, words: Words) -> Self:
        """Return those that have all the words in the part of their text that is indexed."""
        return self.exclude(role="system").filter(words.in_messages())

    def branch(self, leaf: UUID | None = None, *, limit: int | None = None) -> list[UUID]:
        """
        Return the ids from a leaf, or else the newest one, up to the root.

        Of one conversation's messages, in one query of bare ids; none if the leaf is not
        among them. With a limit at most so many.
        """
        parents: dict[UUID, UUID | None] = dict(self.order_by("id").values_list("id", "parent_id"))
        # Ids grow with time and a parent is older than its child: the greatest id is a leaf.
        step = leaf or next(reversed(parents), None)
        found: list[UUID] = []
        while step in parents and (limit is None or len(found) < limit):
            found.append(step)
            step = parents[step]
        return found

    def newest_kept(self) -> UUID | None:
        """Return the newest one, other than prompts that were taken out of a queue."""
        taken = self.filter(generation__status="stopped", generation__started_at=None)
        parents: dict[UUID, UUID | None] = dict(self.order_by("id").values_list("id", "parent_id"))
        left = list(parents)
        while len(left) > 1 and taken.filter(pk=left[-1]).exists():
            prompt = parents[left.pop()]
            if left[-1] == prompt:
                left.pop()
        return left[-1] if left else None

    def snippets(self, conversations: Iterable[UUID], words: Words) -> dict[UUID, list[Part]]:
        """
        Return what stands around the words in the newest message that has them.

        By conversation, for those that have one; in one query.
        """
        if not words.any:
            return {}
        found = self.matching(words).filter(conversation__in=list(conversations)).order_by()
        if connection.features.can_distinct_on_fields:
            newest = found.order_by("conversation_id", "-id").distinct("conversation_id")
        else:
            last = found.values("conversation_id").annotate(last=models.Max("pk"))
            newest = self.filter(pk__in=last.values("last"))
        beginnings = newest.values_list("conversation_id", Left("text", MAX_CHARS))
        return {pk: snippet(text, words.pattern) for pk, text in beginnings}
