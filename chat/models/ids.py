"""Ids of rows: how they are made, and how plain SQL names them."""

import functools
from typing import Any
from uuid import UUID

import uuid_utils
from django.db import connection


def new_id() -> UUID:
    """Return a UUIDv7: ids grow with time, so ordering by id is ordering by creation."""
    return UUID(int=uuid_utils.uuid7().int)


def to_column(pk: UUID) -> Any:
    """Return an id as Django stores a UUIDField, for plain SQL."""
    return pk if _are_native() else pk.hex


@functools.cache
def _are_native() -> bool:
    # Asked once: for one id of one event, finding the connection costs more than all the rest.
    return connection.features.has_native_uuid_field


def from_column(value: Any) -> UUID:
    """Return the id that plain SQL gave."""
    return value if isinstance(value, UUID) else UUID(hex=value)
