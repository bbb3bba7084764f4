"""
The one-time link on which a new site's first account is made.

The data folder keeps the hash of its token, so reading a backup of the folder
gives no way in. Where the file is gone, the link has been used.
"""

import hashlib
import os
import secrets
from pathlib import Path

from chat.conf import data_dir


class LinkUsed(Exception):
    """Raised when somebody else used the link first."""


def renew() -> str:
    """Return the token of a new link; any earlier one stops working."""
    token = secrets.token_urlsafe(32)
    path = _path()
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(_digest(token))
    draft.replace(path)
    return token


def matches(token: str) -> bool:
    """Return whether this is the token of the present link; the comparison is constant-time."""
    try:
        stored = _path().read_text()
    except FileNotFoundError:
        return False
    return secrets.compare_digest(stored, _digest(token))


def use() -> None:
    """
    End the link. Raise LinkUsed if that has been done.

    Of several callers one succeeds: removing a file is atomic.
    """
    try:
        _path().unlink()
    except FileNotFoundError:
        raise LinkUsed from None


def forget() -> None:
    """End the link, if there is one."""
    _path().unlink(missing_ok=True)


def _path() -> Path:
    return data_dir() / "setup_link"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
