"""The chat inside a page of the same site: `{% chat_embed %}` shows it in a frame."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

NAMES = {"embed", "embed_conversation"}


def is_embedded(request: HttpRequest) -> bool:
    """Tell whether a request is for the chat as another page shows it."""
    return request.resolver_match is not None and request.resolver_match.url_name in NAMES


def address_of(request: HttpRequest, conversation_id: UUID) -> str:
    """Return where a conversation is shown: in the frame, for what is asked for in the frame."""
    name = "embed_conversation" if is_embedded(request) else "conversation"
    return reverse(f"chat:{name}", args=[conversation_id])


def chosen_model(request: HttpRequest, choice: dict[str, Any]) -> str:
    """Return the model that a frame was made for, if it is on offer, else the one chosen anyway."""
    wanted = request.GET.get("model", "") if is_embedded(request) else ""
    on_offer = any(model.name == wanted for model in choice["models"])
    model: str = wanted if on_offer else choice["model"]
    return model


def frame_config(request: HttpRequest) -> dict[str, str]:
    """Return what a page's script must know otherwise when it is in a frame."""
    return {
        "home": request.get_full_path(),
        "conversation_address": address_of(request, UUID(int=0)),
    }


def let_own_pages_frame(response: HttpResponseBase) -> None:
    """Let pages of this site, and of no other, show a response in a frame."""
    response["X-Frame-Options"] = "SAMEORIGIN"
    change_policy(response, {"frame-ancestors": ["'self'"]})


def change_policy(response: HttpResponseBase, directives: dict[str, Any]) -> None:
    """Have a response carry the site's policy with other directives."""
    # Read by the middleware of django-csp, and by Django's own, which takes a whole policy.
    response._csp_replace = directives  # type: ignore[attr-defined]
    if policy := getattr(settings, "SECURE_CSP", None):
        response._csp_config = policy | directives  # type: ignore[attr-defined]
