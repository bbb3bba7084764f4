"""Who is asking: a browser's session, a program's API key, or a guest, on every transport alike."""

from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, parse_cookie
from django.utils import timezone

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_database, in_transaction
from chat.errors import Overloaded
from chat.guests import address_of, guest_at
from chat.models import ApiKey

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A signed-in user, and by which session or key: revoking that one ends its sockets."""

    user: "AbstractBaseUser"
    session_key: str | None = None
    api_key_id: UUID | None = None
    is_guest: bool = False  # Nobody has signed in: the account is that of an address.
    # Before it was looked up: what has changed since then may not have been seen.
    asked_at: float = field(default_factory=monotonic, compare=False)

    @property
    def uses_session(self) -> bool:
        """Sessions travel by themselves, so unsafe requests need a CSRF token as well."""
        return self.session_key is not None


async def identify(headers: dict[str, str]) -> Identity | None:
    """
    Return whose ``authorization`` or ``cookie`` header this is, None for a stranger's.

    A request with an ``Authorization`` header is judged by it alone. Keys in
    the address are not looked at: addresses end up in logs.
    """
    asked_at = monotonic()
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        identity = await in_database(_by_key, key.strip(), asked_at)
        if identity is not None and identity.api_key_id is not None:
            _note_use(identity.api_key_id)
        return identity
    session_key = parse_cookie(headers.get("cookie", "")).get(settings.SESSION_COOKIE_NAME)
    return await in_database(_by_session, session_key, asked_at) if session_key else None


async def identify_request(request: HttpRequest) -> Identity | None:
    """See identify()."""
    return await identify({name.lower(): value for name, value in request.headers.items()})


async def identify_scope(scope: dict[str, Any]) -> Identity | None:
    """See identify(). Takes the scope of a WebSocket."""
    return await identify(
        {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
    )


async def identify_caller(scope: dict[str, Any]) -> Identity | None:
    """
    Return whose request or socket this is, where guests are let in.

    Who sends credentials is judged by them alone: a wrong key makes nobody a
    guest. None for a stranger while ``OPEN_DIALECTS`` is off.
    """
    identity = await identify_scope(scope)
    sent = {name.lower() for name, _ in scope["headers"]}
    if identity is not None or b"authorization" in sent or not chat_settings().open_dialects:
        return identity
    guest = await in_transaction(guest_at, address_of(scope))
    return Identity(user=guest, is_guest=True) if guest.is_active else None


async def is_valid(identity: Identity) -> bool:
    """Whether an identity found earlier would be found now."""
    if identity.is_guest:
        return chat_settings().open_dialects and await in_database(_is_active, identity.user.pk)
    if identity.session_key is not None:
        found = await in_database(_by_session, identity.session_key, monotonic())
        return found is not None and found.user == identity.user
    keys = ApiKey.objects.valid().filter(pk__in=[identity.api_key_id])
    return await in_database(keys.exists)


def _is_active(user_id: Any) -> bool:
    return bool(auth.get_user_model()._default_manager.filter(pk=user_id, is_active=True).exists())


async def has_expired(identity: Identity) -> bool:
    """Whether an identity that is not valid any more came to its end by itself: by its age."""
    return await in_database(_has_expired, identity)


def _has_expired(identity: Identity) -> bool:
    now = timezone.now()
    if identity.session_key is None:
        keys = ApiKey.objects.filter(pk__in=[identity.api_key_id], revoked_at=None)
        return keys.filter(owner__is_active=True, expires_at__lte=now).exists()
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return False  # Not kept in the database: nothing tells.
    sessions = store.get_model_class().objects.filter(session_key=identity.session_key)
    return bool(sessions.filter(expire_date__lte=now).exists())


def _by_key(key: str, asked_at: float) -> Identity | None:
    row = ApiKey.objects.find(key)
    if row is None:
        return None
    return Identity(user=row.owner, api_key_id=row.pk, asked_at=asked_at)


def _note_use(api_key_id: UUID) -> None:
    """Set when a key was last used: once a minute is often enough, and nobody waits for it."""
    minute = int(time() // 60)
    if _noted.get(api_key_id) != minute:
        _noted[api_key_id] = minute
        spawn(_save_use(api_key_id))


_noted: dict[UUID, int] = {}


async def _save_use(api_key_id: UUID) -> None:
    used = ApiKey.objects.filter(pk=api_key_id)
    with suppress(Overloaded):
        await in_transaction(used.update, last_used_at=timezone.now())


def _by_session(session_key: str, asked_at: float) -> Identity | None:
    store = import_module(settings.SESSION_ENGINE).SessionStore
    request = HttpRequest()
    request.session = store(session_key)
    # Django's own rule: known backend, active user, session hash unchanged by a new password.
    user = auth.get_user(request)
    if not user.is_authenticated:
        return None
    return Identity(user=user, session_key=session_key, asked_at=asked_at)
