"""System checks for a project that the chat is installed in: what its settings lack."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.template import TemplateDoesNotExist
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse

Found = list[CheckMessage]
Apps = Sequence[AppConfig] | None
AUTH = "django.contrib.auth.context_processors.auth"


@register(Tags.urls)
def check_addresses(app_configs: Apps, **kwargs: Any) -> Found:
    """E010: pages and sockets are found by the address at which the project includes them."""
    try:
        reverse("chat:home")
    except NoReverseMatch:
        hint = 'Add path("chat/", include("chat.urls")) to the project\'s addresses.'
        return [Error("The chat has no address.", hint=hint, id="chat.E010")]
    return []


@register(Tags.templates)
def check_context(app_configs: Apps, **kwargs: Any) -> Found:
    """E011: pages name their user."""
    templates: list[dict[str, Any]] = settings.TEMPLATES
    engines = [each for each in templates if each["BACKEND"].endswith("DjangoTemplates")]
    if any(AUTH in each.get("OPTIONS", {}).get("context_processors", ()) for each in engines):
        return []
    hint = f"Add {AUTH!r} to the context_processors of TEMPLATES."
    return [Error("The chat's pages do not know their user.", hint=hint, id="chat.E011")]


@register(Tags.templates)
def check_templates(app_configs: Apps, **kwargs: Any) -> Found:
    """E012: pages are found in the app."""
    try:
        get_template("chat/chat.html")
    except TemplateDoesNotExist:
        hint = 'Set "APP_DIRS": True in TEMPLATES, or add Django\'s app_directories.Loader.'
        return [Error("The chat's pages are not found.", hint=hint, id="chat.E012")]
    return []


@register()
def check_sqlite(app_configs: Apps, **kwargs: Any) -> Found:
    """W006: SQLite as Django opens it refuses writes that meet."""
    database = settings.DATABASES.get("default", {})
    if not database.get("ENGINE", "").endswith("sqlite3"):
        return []
    if database.get("OPTIONS", {}).get("transaction_mode") == "IMMEDIATE":
        return []
    hint = 'Set DATABASES["default"]["OPTIONS"] = chat.defaults.SQLITE_OPTIONS, or use PostgreSQL.'
    message = "SQLite refuses writes that meet: answers can fail when several are written."
    return [CheckWarning(message, hint=hint, id="chat.W006")]
