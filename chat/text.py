"""Text from outside, made storable and sendable. Pure functions."""

import re
from collections.abc import Iterable

_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_SECRETS = re.compile(r"(?i)(bearer\s+|\b(?:sk|gsk|pk|key)[-_])[\w.*-]{4,}")

MAX_EVENT_CHARS = 16_384  # Larger deltas are split, so that no reader gets a huge frame.


class Illustrated(str):
    """A text with images beside it, each a data URL. To whoever knows of none, it is the text."""

    images: tuple[str, ...]

    def __new__(cls, text: str, images: Iterable[str] = ()) -> "Illustrated":
        made = super().__new__(cls, text)
        made.images = tuple(images)
        return made


def images_of(text: str) -> tuple[str, ...]:
    """Return the images beside a text, none beside a plain one."""
    return text.images if isinstance(text, Illustrated) else ()


def clean_text(text: str) -> str:
    """
    Replace what cannot be stored or sent by U+FFFD: NUL and lone surrogates.

    PostgreSQL refuses the first, UTF-8 has no form for the second. Two halves
    of a surrogate pair that stand together become their character.
    """
    if not _UNSENDABLE.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\x00", "\ufffd")


def hide_secrets(text: str) -> str:
    """Replace what looks like a key of a provider by an ellipsis."""
    return _SECRETS.sub(r"\1…", text)


def split_text(text: str) -> list[str]:
    """Return a text in parts that are fit for one event each, none if it is empty."""
    if len(text) <= MAX_EVENT_CHARS:
        return [text] if text else []
    return [text[i : i + MAX_EVENT_CHARS] for i in range(0, len(text), MAX_EVENT_CHARS)]
