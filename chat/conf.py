"""The ``CHAT`` setting: one dict, read lazily, every key with a default."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSettings:
    """
    What clients and operators can change; the README lists the same keys.

    A field is the lower-case name of a key of ``settings.CHAT``, and of the
    environment variable ``CHAT_<KEY>``. An empty ``model`` means "found at start".
    """

    model: str = ""
    models: Mapping[str, Any] = field(default_factory=dict)
    models_listed_only: bool = False
    agents: Mapping[str, Any] = field(default_factory=dict)
    titles: bool = True
    title_model: str = ""
    system_prompt: str = "You are a helpful assistant."
    context_tokens: int = 8192
    open_dialects: bool = False
    cors_origins: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    event_log: str = "database"
    engine: str = "inline"
    pace_ms: int = 20
    max_running_per_user: int = 3
    max_readers_per_user: int = 12
    max_readers: int = 2000
    messages_per_minute: int = 60
    queue_limit: int = 20
    max_prompt_bytes: int = 65_536
    max_attachments: int = 10
    max_text_file_bytes: int = 524_288
    max_image_bytes: int = 5_242_880
    max_unsent_bytes: int = 52_428_800
    image_models: tuple[str, ...] = ()
    max_answer_bytes: int = 4_194_304
    max_generation_seconds: float = 600
    connect_timeout: float = 5
    first_token_timeout: float = 60
    idle_timeout: float = 60
    heartbeat_seconds: float = 15
    slow_reader_seconds: float = 30
    sse_lifetime_seconds: float = 300
    retention_seconds: float = 600
    drain_seconds: float = 20
    drain_jitter_seconds: float = 5
    worker_concurrency: int = 100


KEYS = {f.name.upper(): f for f in fields(ChatSettings)}

# Upper bounds of the protocol itself, not settings: a client may rely on them.
MAX_FRAME_BYTES = 131_072
MAX_BODY_BYTES = 1_048_576
MAX_UPLOAD_BYTES = 16_777_216  # Of a form with files, where files are taken.
MAX_IDEMPOTENCY_KEY = 128


@functools.cache
def chat_settings() -> ChatSettings:
    """Return the settings in force. Unknown keys are reported by check ``chat.E001``."""
    configured = getattr(settings, "CHAT", None)
    if configured is None:  # A project that says nothing is told by its environment.
        configured = from_environment(os.environ)
    known = {key.lower(): value for key, value in configured.items() if key in KEYS}
    return ChatSettings(**known)


def outer_setting(name: str, default: str = "") -> str:
    """Return a setting of the project beside ``CHAT``, else the variable of that name."""
    value: str = getattr(settings, name, os.environ.get(name, default))
    return value


def data_dir() -> Path:
    """Return the folder of what is kept beside the database: DATA_DIR, or ``var``."""
    base = getattr(settings, "BASE_DIR", Path.cwd())
    return Path(getattr(settings, "DATA_DIR", Path(base) / "var"))


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHAT":
        chat_settings.cache_clear()


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the ``CHAT`` dict that the ``CHAT_<KEY>`` variables describe.

    Raise ImproperlyConfigured for a value that does not have the type of its
    default, naming the variable.
    """
    import json

    def parse(key: str, raw: str) -> Any:
        default = getattr(ChatSettings(), key.lower())
        if isinstance(default, bool):
            words = {"1": True, "true": True, "on": True, "yes": True}
            words |= {"0": False, "false": False, "off": False, "no": False, "": False}
            return words[raw.strip().lower()]
        if isinstance(default, (int, float)):
            return float(raw) if KEYS[key].type is float else int(raw)
        if isinstance(default, tuple):
            return tuple(part.strip() for part in raw.split(",") if part.strip())
        if isinstance(default, Mapping):
            value = json.loads(raw)
            if not isinstance(value, dict):
                raise ValueError("not a JSON object")
            return value
        return raw

    found = {}
    for key in KEYS:
        name = f"CHAT_{key}"
        if name not in environ:
            continue
        try:
            found[key] = parse(key, environ[name])
        except (KeyError, ValueError) as exc:
            kind = type(getattr(ChatSettings(), key.lower())).__name__
            raise ImproperlyConfigured(f"{name} must be a {kind}: {environ[name]!r}") from exc
    return found
