"""Which models there are, and the chat model behind each name."""

import asyncio
import functools
import importlib
import json
import re
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from chat.conf import chat_settings, outer_setting
from chat.errors import UnknownModel

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

OFFICIAL_URL = "https://api.openai.com/v1"
OFFICIAL_MODEL = "gpt-4.1-mini"
LOOKUP_SECONDS = 1.0
LIST_SECONDS = 60.0
MAX_LISTED = 200
NEEDED_TO_ANSWER = (
    "langchain_core.prompts.chat",
    "chat.llm.parser",
    "chat.llm.openai_compatible",
)
_loading = threading.Lock()
# What an official list names beside models to chat with.
NOT_FOR_CHAT = re.compile(
    r"embedding|tts|whisper|dall-e|moderation|image|audio|realtime|transcribe|sora|babbage|davinci"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One entry of the model picker."""

    name: str
    provider: str
    description: str = ""


async def default_model() -> str:
    """Return the model for whoever names none; found once per process."""
    if configured := chat_settings().model:
        return configured
    if _found_default is None:
        _set_default(await _find_default())
    return _found_default or "demo"


async def available_models() -> list[ModelInfo]:
    """Return the models to choose from, the default first; a provider that is down adds none."""
    global _listed
    default = await default_model()
    if _listed is None or _listed[0] < time.monotonic():
        _listed = time.monotonic() + LIST_SECONDS, await _list_models()
    models = _listed[1]
    if default not in {model.name for model in models}:
        models = [ModelInfo(name=default, provider=default.partition(":")[0]), *models]
    return sorted(models, key=lambda model: model.name != default)


def is_model_name(name: str) -> bool:
    """Tell whether a name has a known form. Loads no model and asks no provider."""
    provider, _, model = name.partition(":")
    known = provider == "demo" or (provider in {"openai", "ollama"} and model != "")
    return known or name in chat_settings().models


def check_model_name(name: str) -> None:
    """Raise UnknownModel for a name of no known form."""
    if not is_model_name(name):
        raise UnknownModel(
            f"No model is called {name[:100]!r}. Use openai:<name>, ollama:<name>, demo,"
            " or a name from the setting MODELS."
        )


@functools.cache
def get_chat_model(name: str) -> "BaseChatModel":
    """Return the chat model of that name. Raise UnknownModel for a name of no known form."""
    check_model_name(name)
    if name in chat_settings().models:
        return _configured_model(name)
    provider, _, model = name.partition(":")
    if provider == "demo":
        from chat.llm.demo import DemoChatModel

        return DemoChatModel()
    from pydantic import SecretStr

    from chat.llm.openai_compatible import OpenAICompatibleChat

    if provider == "ollama":
        return OpenAICompatibleChat(model=model, base_url=f"{ollama_url()}/v1")
    return OpenAICompatibleChat(
        model=model, base_url=openai_url(), api_key=SecretStr(outer_setting("OPENAI_API_KEY"))
    )


async def warm_up() -> None:
    """Return once LangChain and the provider's library are imported, which is done aside."""
    if not _load.cache_info().currsize:
        await asyncio.to_thread(_load_once)


def _load_once() -> None:
    # Two threads in the midst of LangChain's circular imports would wait for each other.
    with _loading:
        _load()


@functools.cache
def _load() -> None:
    for module in NEEDED_TO_ANSWER:
        importlib.import_module(module)
    from chat.llm.clients import tls_context

    tls_context()


def openai_url() -> str:
    return (outer_setting("OPENAI_BASE_URL") or OFFICIAL_URL).rstrip("/")


def ollama_url() -> str:
    """Return the address of Ollama, in whichever of its own forms it was given."""
    host = outer_setting("OLLAMA_HOST", "http://127.0.0.1:11434").strip().rstrip("/")
    if "://" not in host:
        host = f"http://{host}"
    # 0.0.0.0 is where Ollama listens, not where it can be reached.
    host = host.replace("://0.0.0.0", "://127.0.0.1")
    return host if host.startswith("https:") or re.search(r":\d+$", host) else f"{host}:11434"


def reset() -> None:
    """Forget what was found and built, as after a change of settings."""
    global _listed
    _listed = None
    _set_default(None)
    get_chat_model.cache_clear()


_found_default: str | None = None
_listed: tuple[float, list[ModelInfo]] | None = None


def _set_default(name: str | None) -> None:
    global _found_default
    _found_default = name


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in {"CHAT", "OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST"}:
        reset()


def _configured_model(name: str) -> "BaseChatModel":
    from langchain_core.language_models import BaseChatModel

    entry = chat_settings().models[name]
    options = {"class": entry} if isinstance(entry, str) else dict(entry)
    try:
        model = import_string(options.pop("class"))(**options)
    except (ImportError, KeyError, TypeError, ValueError) as exc:
        raise ImproperlyConfigured(f"The model {name!r} of CHAT['MODELS'] is not usable.") from exc
    if not isinstance(model, BaseChatModel):
        raise ImproperlyConfigured(f"The model {name!r} of CHAT['MODELS'] is no chat model.")
    return model


async def _find_default() -> str:
    if outer_setting("OPENAI_BASE_URL"):
        names = await _openai_names()
        return f"openai:{names[0] if names else 'default'}"
    if outer_setting("OPENAI_API_KEY"):
        return f"openai:{OFFICIAL_MODEL}"
    names = await _ollama_names()
    return f"ollama:{names[0]}" if names else "demo"


async def _list_models() -> list[ModelInfo]:
    openai, ollama = await asyncio.gather(_openai_names(), _ollama_names())
    listed = [
        ModelInfo(name=name, provider="configured", description="Set up for this site")
        for name in chat_settings().models
    ]
    host = "OpenAI" if openai_url() == OFFICIAL_URL else "OpenAI-compatible server"
    listed += [
        ModelInfo(name=f"openai:{name}", provider="openai", description=host) for name in openai
    ]
    listed += [
        ModelInfo(name=f"ollama:{name}", provider="ollama", description="Runs on Ollama")
        for name in ollama
    ]
    demo = ModelInfo(name="demo", provider="demo", description="No model: shows how the site works")
    return [*listed, demo]


async def _openai_names() -> list[str]:
    if not (outer_setting("OPENAI_API_KEY") or outer_setting("OPENAI_BASE_URL")):
        return []
    found = await _fetch(f"{openai_url()}/models", key=outer_setting("OPENAI_API_KEY"))
    return [name for name in _names(found, "data", "id") if not NOT_FOR_CHAT.search(name)]


async def _ollama_names() -> list[str]:
    if not outer_setting("OLLAMA_HOST", "http://127.0.0.1:11434").strip():
        return []
    return _names(await _fetch(f"{ollama_url()}/api/tags"), "models", "name")


def _names(found: Any, items: str, key: str) -> list[str]:
    rows = found.get(items) if isinstance(found, dict) else None
    rows = rows if isinstance(rows, list) else []
    names = [row.get(key) for row in rows[:MAX_LISTED] if isinstance(row, dict)]
    return [name for name in names if isinstance(name, str) and name.isprintable() and name]


async def _fetch(url: str, *, key: str = "") -> Any:
    """Return the JSON at an address from the settings, or None when there is none in time."""

    def get() -> Any:
        # Not through the providers' client: that would load it for a page that only lists.
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=LOOKUP_SECONDS) as response:  # noqa: S310
            return json.loads(response.read(4_000_000))

    try:
        return await asyncio.wait_for(asyncio.to_thread(get), 2 * LOOKUP_SECONDS)
    except (OSError, ValueError, RecursionError):
        return None
