"""System checks: what is wrong is said at start, not at the first request."""

import difflib
import importlib.util
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from chat.conf import KEYS, MAX_FRAME_BYTES, ChatSettings

if TYPE_CHECKING:
    from chat.eventlog import BaseEventLog

Found = list[CheckMessage]
Apps = Sequence[AppConfig] | None

# Where zero has a meaning; every other number must be above it.
MAY_BE_ZERO = {
    "PACE_MS",
    "QUEUE_LIMIT",
    "RETENTION_SECONDS",
    "DRAIN_SECONDS",
    "DRAIN_JITTER_SECONDS",
}
UPPER_BOUNDS = {"PACE_MS": 1000, "MAX_PROMPT_BYTES": MAX_FRAME_BYTES}
TRACING_VARIABLES = (
    "LANGSMITH_TRACING",
    "LANGSMITH_TRACING_V2",
    "LANGCHAIN_TRACING",
    "LANGCHAIN_TRACING_V2",
)


@register()
def check_keys(app_configs: Apps, **kwargs: Any) -> Found:
    """E001: a misspelt key would silently leave the default in force."""
    return [
        Error(
            f"CHAT[{key!r}] is not a setting.{_suggest(str(key), '')}",
            id="chat.E001",
        )
        for key in _configured()
        if key not in KEYS
    ]


@register()
def check_environment(app_configs: Apps, **kwargs: Any) -> Found:
    """W005: the same for variables. Others may begin with CHAT_, so only near misses count."""
    names = {name.removeprefix("CHAT_") for name in os.environ if name.startswith("CHAT_")}
    return [
        CheckWarning(
            f"The environment variable CHAT_{name} is not a setting.{hint}",
            id="chat.W005",
        )
        for name in sorted(names - set(KEYS))
        if (hint := _suggest(name, "CHAT_"))
    ]


@register()
def check_values(app_configs: Apps, **kwargs: Any) -> Found:
    """E002: of the wrong type, or out of range."""
    return [
        Error(f"CHAT[{key!r}] must be {wanted}, not {value!r}.", id="chat.E002")
        for key, value in _configured().items()
        if key in KEYS and (wanted := _what_is_wanted(key, value))
    ]


@register()
def check_event_log(app_configs: Apps, **kwargs: Any) -> Found:
    from chat.eventlog import BACKENDS

    name = _configured().get("EVENT_LOG", ChatSettings().event_log)
    if name == "redis" and not _has_redis():
        return []  # E007 says so.
    if _event_log() is not None:
        return []
    names = ", ".join(repr(known) for known in BACKENDS)
    hint = f"Use {names} or the dotted path of a subclass of BaseEventLog."
    return [Error(f"CHAT['EVENT_LOG'] is {name!r}, no event log.", hint=hint, id="chat.E003")]


@register()
def check_redis(app_configs: Apps, **kwargs: Any) -> Found:
    """E007: an event log in Redis that cannot get there."""
    if _configured().get("EVENT_LOG") != "redis":
        return []
    found: Found = []
    if not getattr(settings, "REDIS_URL", ""):
        hint = "Set REDIS_URL, as in redis://127.0.0.1:6379/0, or choose another event log."
        message = "CHAT['EVENT_LOG'] is 'redis', but REDIS_URL is not set."
        found.append(Error(message, hint=hint, id="chat.E007"))
    if not _has_redis():
        hint = "Install the extra 'redis', or choose another event log."
        message = "CHAT['EVENT_LOG'] is 'redis', but the package 'redis' is not installed."
        found.append(Error(message, hint=hint, id="chat.E007"))
    return found


@register()
def check_engine(app_configs: Apps, **kwargs: Any) -> Found:
    """E008: unknown, or in need of what is not there."""
    from chat.generations.needs import what_is_missing

    name = _configured().get("ENGINE", ChatSettings().engine)
    return [
        Error(f"CHAT['ENGINE'] is {name!r}, but {problem}.", hint=hint, id="chat.E008")
        for problem, hint in what_is_missing(name, _event_log())
    ]


@register()
def check_models(app_configs: Apps, **kwargs: Any) -> Found:
    """E004: form only. Importing the classes would load their libraries at every start."""
    models = _configured().get("MODELS", {})
    if not isinstance(models, Mapping):
        return []  # E002 has said so.
    return [
        Error(
            f"CHAT['MODELS'][{name!r}] {problem}",
            hint='Write {"name": {"class": "dotted.path.ChatModel", "argument": …}}.',
            id="chat.E004",
        )
        for name, entry in models.items()
        if (problem := _problem_of_model(name, entry))
    ]


@register()
def check_agents(app_configs: Apps, **kwargs: Any) -> Found:
    """E009: one that is not there, or is given what it does not know."""
    from chat.agents.needs import what_is_wrong

    agents = _configured().get("AGENTS", {})
    entries = agents.items() if isinstance(agents, Mapping) else ()  # E002 has said so.
    hint = 'Write {"name": {"class": "dotted.path.of_a_function", "argument": …}}.'
    return [
        Error(f"CHAT['AGENTS'][{name!r}] {problem}.", hint=hint, id="chat.E009")
        for name, entry in entries
        for problem in what_is_wrong(name, entry)
    ]


@register()
def check_asgi(app_configs: Apps, **kwargs: Any) -> Found:
    found: Found = []
    if not getattr(settings, "ASGI_APPLICATION", None):
        hint = "Set it to the dotted path of the application made by chat's routing."
        found.append(Error("ASGI_APPLICATION is not set.", hint=hint, id="chat.E005"))
    if not apps.is_installed("channels"):
        hint = "Add it to INSTALLED_APPS."
        found.append(Error("The app 'channels' is not installed.", hint=hint, id="chat.E005"))
    if importlib.util.find_spec("daphne") is None:
        hint = "Install the package 'daphne'."
        found.append(Error("Daphne is not installed.", hint=hint, id="chat.E005"))
    return found


@register(Tags.security)
def check_tracing(app_configs: Apps, **kwargs: Any) -> Found:
    on = [name for name in TRACING_VARIABLES if os.environ.get(name, "").lower() == "true"]
    return [
        CheckWarning(
            f"{name} is on: prompts and answers are sent to the tracing service.",
            hint=f"Unset {name} unless that is meant; then silence chat.W001.",
            id="chat.W001",
        )
        for name in on
    ]


@register()
def check_processes(app_configs: Apps, **kwargs: Any) -> Found:
    """
    E006, W002: several processes that cannot work as one site.

    WEB_CONCURRENCY is how uvicorn and most platforms are told; flags are not seen here.
    """
    from chat.bus import bus

    processes = os.environ.get("WEB_CONCURRENCY", "1")
    if not processes.isdecimal() or int(processes) < 2:
        return []
    found: Found = []
    log = _event_log()
    if log is not None and not log.supports_many_processes:
        hint = "Choose another CHAT['EVENT_LOG'], or run one process."
        message = f"{processes} processes, but the event log {log.__name__} serves one only."
        found.append(Error(message, hint=hint, id="chat.E006"))
    if not bus().reaches_processes:
        hint = "Use PostgreSQL or set REDIS_URL, or run one process."
        message = f"{processes} processes that do not hear each other: sign-out and news wait."
        found.append(CheckWarning(message, hint=hint, id="chat.W002"))
    return found


@register(Tags.security, deploy=True)
def check_origins(app_configs: Apps, **kwargs: Any) -> Found:
    return [
        CheckWarning(
            f"CHAT[{key!r}] contains {origin!r}, which is not a full origin.",
            hint="Write scheme and host, as in 'https://chat.example.com', and no path.",
            id="chat.W003",
        )
        for key in ("CORS_ORIGINS", "ALLOWED_ORIGINS")
        for origin in _configured().get(key, ())
        if not _is_origin(str(origin))
    ]


@register()
def check_middleware(app_configs: Apps, **kwargs: Any) -> Found:
    return [
        CheckWarning(
            f"The middleware {path} is sync-only: each open stream costs a thread.",
            hint="Use one with async_capable = True.",
            id="chat.W004",
        )
        for path in settings.MIDDLEWARE
        if not getattr(import_string(path), "async_capable", False)
    ]


def _has_redis() -> bool:
    return importlib.util.find_spec("redis") is not None


def _configured() -> Mapping[Any, Any]:
    configured: Mapping[Any, Any] = getattr(settings, "CHAT", {})
    return configured


def _event_log() -> "type[BaseEventLog] | None":
    """Return the class that the settings name, None if they name no event log."""
    from chat.eventlog import BACKENDS, BaseEventLog

    name = _configured().get("EVENT_LOG", ChatSettings().event_log)
    try:
        found = import_string(BACKENDS.get(name, name))
        return found if issubclass(found, BaseEventLog) else None
    except (ImportError, TypeError, AttributeError):  # The last two: no class, not even a string.
        return None


def _suggest(key: str, prefix: str) -> str:
    near = difflib.get_close_matches(key.upper(), KEYS, n=1, cutoff=0.7)
    return f" Did you mean {prefix}{near[0]}?" if near else ""


def _what_is_wanted(key: str, value: Any) -> str:
    """Return the description of a good value, or nothing if this one is."""
    default = getattr(ChatSettings(), key.lower())
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "True or False"
    if isinstance(default, (int, float)):
        return _number_wanted(key, value, whole=KEYS[key].type is int)
    if isinstance(default, tuple):
        listed = isinstance(value, (list, tuple, set, frozenset))
        return "" if listed and all(isinstance(v, str) for v in value) else "a list of strings"
    if isinstance(default, Mapping):
        return "" if isinstance(value, Mapping) else "a dict"
    return "" if isinstance(value, str) else "a string"


def _number_wanted(key: str, value: Any, *, whole: bool) -> str:
    high = UPPER_BOUNDS.get(key, math.inf)
    zero = key in MAY_BE_ZERO
    kind = int if whole else (int, float)
    finite = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if finite and 0 <= value <= high and (value or zero):
        return ""
    number = "a whole number" if whole else "a number"
    low = "of at least 0" if zero else "above 0"
    return f"{number} {low}" + (f" and at most {high}" if math.isfinite(high) else "")


def _problem_of_model(name: Any, entry: Any) -> str:
    if not isinstance(name, str) or not name:
        return "needs a name."
    path = entry.get("class") if isinstance(entry, Mapping) else entry
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        return "names no class."
    return "" if "." in path else f"names {path!r}, which is not a dotted path."


def _is_origin(origin: str) -> bool:
    parts = urlsplit(origin)
    bare = f"{parts.scheme}://{parts.netloc}"
    return parts.scheme in ("http", "https") and bool(parts.hostname) and origin == bare
