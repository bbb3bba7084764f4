"""
Guests: who calls without a session or key, where the setting ``OPEN_DIALECTS`` lets them.

A guest is an account like any other, one for each network address, so limits,
ownership and deletion hold for guests as they do for people. Nobody can sign in
as one.
"""

import ipaddress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import QuerySet

PREFIX = "guest-"
DIGITS = 16
IPV6_NETWORK = 64  # What one subscriber has; single addresses there change by the hour.


def guest_at(address: str) -> "AbstractBaseUser":
    """Return the guest of an address, a new one the first time. A unit of database work."""
    users = get_user_model()._default_manager
    name = guest_name(address)
    field = get_user_model().USERNAME_FIELD
    try:
        with transaction.atomic():
            return users.get_or_create(**{field: name}, defaults={"password": make_password(None)})[
                0
            ]
    except IntegrityError:  # Made by another process a moment ago.
        return users.get(**{field: name})


def guest_name(address: str) -> str:
    """Return the name of an address's guest, which does not give the address away."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        network = address
    else:
        bits = IPV6_NETWORK if found.version == 6 else found.max_prefixlen
        network = str(ipaddress.ip_network(f"{found}/{bits}", strict=False))
    return PREFIX + salted_hmac("chat.guests", network, algorithm="sha256").hexdigest()[:DIGITS]


def people() -> "QuerySet[Any]":
    """Return the accounts that are not guests'."""
    field = get_user_model().USERNAME_FIELD
    return get_user_model()._default_manager.exclude(**{f"{field}__startswith": PREFIX})


def address_of(scope: dict[str, Any]) -> str:
    """
    Return the address that a request, or a socket, comes from.

    Behind a proxy, which only the setting for HTTPS tells of, it is the last
    one in ``X-Forwarded-For``: the proxy itself has written that.
    """
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None):
        told = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        last = told[-1].decode("latin1").rsplit(",", 1)[-1].strip() if told else ""
        if last:
            return last
    client = scope.get("client")
    return str(client[0]) if client else ""
