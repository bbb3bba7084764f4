"""System checks of the models that staff define. They read the database: see `check --database`."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections, router

from chat.models import ServedModel


@register(Tags.database)
def check_served_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """W007: a key that no SECRET_KEY of the site opens any more."""
    alias = router.db_for_read(ServedModel)
    if alias not in (databases or ()):
        return []
    if ServedModel._meta.db_table not in connections[alias].introspection.table_names():
        return []
    hint = "Put the former SECRET_KEY into SECRET_KEY_FALLBACKS, or enter the key again."
    return [
        CheckWarning(
            f"The key of the model {row.name!r} cannot be read: SECRET_KEY has changed.",
            hint=hint,
            id="chat.W007",
        )
        for row in ServedModel.objects.exclude(sealed_key="")
        if not row.has_readable_key
    ]
