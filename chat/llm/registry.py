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
from chat.llm import served
from chat.llm.keys import unseal
from chat.llm.served import Groups, Served

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
    label: str = ""  # What people see; empty: the name.


async def default_model() -> str:
    """Return the model for whoever names none; found once per process."""
    if configured := chat_settings().model:
        return configured
    if _found_default is None:
        _set_default(await _find_default())
    return _found_default or "demo"


async def usable_default(groups: Groups) -> str:
    """Return the default for whoever is in these groups: the first they may use, if not that."""
    default = await default_model()
    if served.is_usable(default, groups):
        return default
    models = await available_models(groups)
    return models[0].name if models else default


async def available_models(groups: Groups = None) -> list[ModelInfo]:
    """
    Return the models to choose from, the default first; a provider that is down adds none.

    Those that staff have defined come before what is found, and not all may be for
    whoever is in these groups.
    """
    global _listed
    default = await default_model()
    if _listed is None or _listed[0] < time.monotonic():
        _listed = time.monotonic() + LIST_SECONDS, await _list_models()
    models = {row.name: _defined(row) for row in served.catalogue().rows.values()}
    for found in _listed[1]:
        models.setdefault(found.name, found)
    if default not in models:
        first = ModelInfo(name=default, provider=default.partition(":")[0])
        models = {default: first, **models}
    usable = [model for model in models.values() if served.is_usable(model.name, groups)]
    return sorted(usable, key=lambda model: model.name != default)


def _defined(row: Served) -> ModelInfo:
    provider = served.provider_of(row.name)
    return ModelInfo(name=row.name, provider=provider, description=row.description, label=row.label)


def check_model_name(name: str, groups: Groups = None) -> None:
    """Raise UnknownModel where there is no such model, or none for these groups: it is the same."""
    if not served.is_usable(name, groups):
        raise UnknownModel(
            f"No model is called {name[:100]!r}. It may have been removed: choose one of the list"
            " of models."
        )


def get_chat_model(name: str) -> "BaseChatModel":
    """Return the chat model of that name. Raise UnknownModel, also for one of other groups."""
    check_model_name(name, served.asking.get())
    row = served.find(name)
    # By all that staff say of it: what they change is another model.
    return _chat_model(name, None if row is None or row.describes else row)


@functools.lru_cache(maxsize=256)
def _chat_model(name: str, row: Served | None) -> "BaseChatModel":
    if row is not None:
        return _served_model(row)
    if name in chat_settings().models:
        return _configured_model(name)
    provider, _, model = name.partition(":")
    if provider == "demo":
        from chat.llm.demo import DemoChatModel

        return DemoChatModel()
    return _compatible_model(provider, model)


def _served_model(row: Served) -> "BaseChatModel":
    model = row.model or row.name
    if not (row.base_url or row.sealed_key):
        return _compatible_model(row.provider, model)
    # The site's own key is for the site's own address, and goes nowhere else.
    key = unseal(row.sealed_key)
    return _compatible_model(row.provider, model, base_url=row.base_url, key=key)


def _compatible_model(
    provider: str, model: str, *, base_url: str = "", key: str | None = None
) -> "BaseChatModel":
    from pydantic import SecretStr

    from chat.llm.openai_compatible import OpenAICompatibleChat

    if provider == "ollama":
        address = base_url.rstrip("/").removesuffix("/v1") or ollama_url()
        url, site_key = f"{address}/v1", ""
    else:
        url, site_key = base_url.rstrip("/") or openai_url(), outer_setting("OPENAI_API_KEY")
    return OpenAICompatibleChat(
        model=model, base_url=url, api_key=SecretStr(site_key if key is None else key)
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
    _chat_model.cache_clear()


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
