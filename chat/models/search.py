"""What is looked for, and how the database is asked for it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from unicodedata import normalize
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.db.models.expressions import RawSQL

from chat.models.ids import to_column
from chat.models.search_index import ENTRIES, INDEX, VECTOR
from chat.text import clean_text

MAX_LENGTH = 200
MAX_WORDS = 12

NOTHING = "(?!)"
WORD = re.compile(r"[^\W_]+")
# Scripts that do not part words by spaces: what is looked for may stand anywhere in a line.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
_HITS = f"SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s"  # noqa: S608
_FOUND = f"SELECT {{column}} FROM {ENTRIES} WHERE id IN ({_HITS})"  # noqa: S608
_POSTGRES_HITS = " UNION ALL ".join(
    f"SELECT 1 FROM {table} WHERE {VECTOR.format(text=column)} @@ to_tsquery('simple', %s)"  # noqa: S608
    for table, column in (("chat_message", "text"), ("chat_conversation", "title"))
)
FEW = 1000  # Hits that are rather read and put in order than looked for among all there is.


@dataclass(frozen=True)
class Words:
    """What a person typed: words found by their beginnings, and texts found anywhere."""

    typed: str
    begun: tuple[str, ...]
    anywhere: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the words of any text; of a long one those that it begins with."""
        typed = " ".join(normalize("NFC", clean_text(text[:MAX_LENGTH])).split())
        words = dict.fromkeys(WORD.findall(typed.casefold()))
        kept = list(words)[:MAX_WORDS]
        return cls(
            typed,
            tuple(word for word in kept if not UNSPACED.search(word)),
            tuple(word for word in kept if UNSPACED.search(word)),
        )

    @cached_property
    def any(self) -> tuple[str, ...]:
        return self.begun + self.anywhere

    def in_messages(self, conversations: Collection[UUID] | None = None) -> Q:
        """Return what holds for a message that has all of them, of some conversations or of any."""
        of_these = Q() if conversations is None else Q(conversation__in=conversations)
        anywhere = Q(*(Q(text__icontains=word) for word in self.anywhere))
        return of_these & anywhere & self._begun_in("text", conversations)

    def in_titles(self) -> Q:
        """Return what holds for a conversation with all of them in its title."""
        anywhere = self.anywhere if self.any else (self.typed,)
        return Q(*(Q(title__icontains=word) for word in anywhere)) & self._begun_in("title")

    @cached_property
    def conversations(self) -> RawSQL | None:
        """Those with all of them in the title or one message, where the index alone says it."""
        if connection.vendor != "sqlite" or self.anywhere or not self.begun:
            return None
        return self._entries("conversation")

    def are_few(self) -> bool:
        """
        Return whether it is cheaper to begin with what is found than with what is newest.

        Neither database knows how much it will find before it has looked.
        """
        if self.anywhere or not self.begun:
            return False
        is_postgresql = connection.vendor == "postgresql"
        hits = _POSTGRES_HITS if is_postgresql else _HITS
        params = [self._as_tsquery] * 2 if is_postgresql else [self._as_match]
        with connection.cursor() as cursor:
            counted = f"SELECT COUNT(*) FROM ({hits} LIMIT {FEW + 1}) AS hits"  # noqa: S608
            cursor.execute(counted, params)
            return bool(cursor.fetchone()[0] <= FEW)

    def _begun_in(self, column: str, conversations: Collection[UUID] | None = None) -> Q:
        if not self.begun:
            return Q()
        if connection.vendor == "postgresql":
            return Q(_Matches(_Vector(F(column)), _Query(Value(self._as_tsquery))))
        return Q(pk__in=self._entries("source", conversations))

    def _entries(self, column: str, conversations: Collection[UUID] | None = None) -> RawSQL:
        sql, params = _FOUND.format(column=column), [self._as_match]
        if conversations is not None:
            sql += f" AND conversation IN ({', '.join(['%s'] * len(conversations))})"
            params += [str(to_column(pk)) for pk in conversations]
        return RawSQL(sql, params)  # noqa: S611 - words of letters and digits, as parameters

    @property
    def _as_match(self) -> str:
        return " ".join(f'"{word}"*' for word in self.begun)

    @property
    def _as_tsquery(self) -> str:
        return " & ".join(f"'{word}':*" for word in self.begun)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Where one of them stands in a text, as a person would mark it."""
        begun = "|".join(map(re.escape, sorted(self.begun, key=len, reverse=True)))
        parts = [rf"(?<![^\W_])(?:{begun})"] if begun else []
        parts += map(re.escape, self.anywhere)
        return re.compile("|".join(parts) or NOTHING, re.IGNORECASE)


class _Vector(Func):
    """The words of a text, spelt as PostgreSQL's index of messages spells it."""

    template = VECTOR.format(text="%(expressions)s")
    output_field = TextField()


class Unindexed(Func):
    """A column as it is, for which SQLite's planner uses no index: another one leads."""

    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


class _Query(Func):
    template = "to_tsquery('simple', %(expressions)s)"
    output_field = TextField()


class _Matches(Func):
    template = "%(expressions)s"
    arg_joiner = " @@ "
    output_field = BooleanField()
