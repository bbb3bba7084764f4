"""Text from outside, made storable and sendable. Pure functions."""

import re

_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")


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
