"""What is looked for, and how the database is asked for it."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Self
from unicodedata import normalize

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.db.models.expressions import RawSQL

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
_FOUND = (
    f"SELECT source FROM {ENTRIES} WHERE id IN (SELECT rowid FROM {INDEX} WHERE {INDEX} MATCH %s)"  # noqa: S608
)


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

    def in_messages(self) -> Q:
        """Return what holds for a message that has all of them."""
        found = Q(*(Q(text__icontains=word) for word in self.anywhere))
        if not self.begun:
            return found
        if connection.vendor == "postgresql":
            return found & Q(_Matches(_Vector(F("text")), _Query(Value(self._as_tsquery))))
        return found & Q(pk__in=self._entries)

    def in_titles(self) -> Q:
        """Return what holds for a conversation with all of them in its title, or in its tags."""
        spelt = Q(*(Q(title__icontains=word) for word in self.any or (self.typed,)))
        if self.begun and connection.vendor == "sqlite":
            # Its LIKE knows the case of ASCII alone, its index that of all letters.
            spelt |= Q(*(Q(title__icontains=word) for word in self.anywhere), pk__in=self._entries)
        return spelt

    @property
    def _entries(self) -> RawSQL:
        match = " ".join(f'"{word}"*' for word in self.begun)
        return RawSQL(_FOUND, [match])  # noqa: S611 - words of letters and digits, as a parameter

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


class _Query(Func):
    template = "to_tsquery('simple', %(expressions)s)"
    output_field = TextField()


class _Matches(Func):
    template = "%(expressions)s"
    arg_joiner = " @@ "
    output_field = BooleanField()
