"""
The keys of models that staff define: kept encrypted, opened where a client is made.

They are encrypted with Fernet, by a key that is derived from ``SECRET_KEY``; those of
``SECRET_KEY_FALLBACKS`` open what was encrypted before. Who reads the database alone, or
a copy of it, has no key.
"""

import base64
import functools
from typing import TYPE_CHECKING

from django.conf import settings

from chat.errors import UpstreamAuth

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

UNREADABLE = (
    "The key of this model cannot be read any more: the site's SECRET_KEY has changed."
    " An administrator must enter it again."
)


def seal(key: str) -> str:
    """Return a key encrypted by the ``SECRET_KEY`` in force; of no key, nothing."""
    return _boxes()[0].encrypt(key.encode()).decode() if key else ""


def unseal(sealed: str) -> str:
    """Return the key that was encrypted. Raise UpstreamAuth if no key of the site opens it."""
    if not sealed:
        return ""
    from cryptography.fernet import InvalidToken, MultiFernet

    try:
        return MultiFernet(_boxes()).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise UpstreamAuth(UNREADABLE) from None


def can_unseal(sealed: str) -> bool:
    """Tell whether a key can be read; no key can."""
    try:
        unseal(sealed)
    except UpstreamAuth:
        return False
    return True


def reseal(sealed: str) -> str:
    """Return a key encrypted anew, by the ``SECRET_KEY`` in force. Raise as unseal() does."""
    return seal(unseal(sealed))


def _boxes() -> "list[Fernet]":
    return [_box(secret) for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


@functools.lru_cache(maxsize=16)
def _box(secret: str | bytes) -> "Fernet":
    # Imported when there is a key: most sites have none.
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    material = secret if isinstance(secret, bytes) else secret.encode()
    # A long random secret needs no slow hash, but a purpose of its own.
    derived = HKDF(SHA256(), length=32, salt=None, info=b"chat.llm.keys").derive(material)
    return Fernet(base64.urlsafe_b64encode(derived))
