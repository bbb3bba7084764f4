"""Files on the pages: those that a form posts with its prompt, and which models take images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse

from chat.conf import chat_settings
from chat.database import in_database
from chat.errors import BadRequest
from chat.generations.attachments import keep_attachment
from chat.llm.registry import ModelInfo
from chat.llm.vision import takes_images
from chat.models import Generation

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


async def posted_files(user: "AbstractBaseUser", request: HttpRequest) -> dict[str, Any]:
    """
    Keep the files that were posted with a prompt; return how the prompt names them, if any.

    A form that is posted again brings its files again: those of its first prompt are
    meant. Raise what `keep_attachment` raises, and BadRequest.
    """
    files = request.FILES.getlist("files")
    if not files:
        return {}
    if (sent := await in_database(_sent_with, user, request.POST.get("key", ""))) is not None:
        return {"attachments": sent}
    limit = chat_settings().max_attachments
    if len(files) > limit:
        raise BadRequest(f"A message has at most {limit} files. Send the others with the next.")
    kept = [
        await keep_attachment(user, name=file.name or "", content=file.read()) for file in files
    ]
    return {"attachments": [each.pk for each in kept]}


def _sent_with(user: "AbstractBaseUser", key: str) -> list[UUID] | None:
    asked = Generation.objects.owned_by(user).filter(idempotency_key=key)
    prompt = asked.select_related("message__parent").first() if key else None
    if prompt is None or prompt.message.parent is None:
        return None
    return [file.pk for file in prompt.message.parent.files]


def attach_config(models: Sequence[ModelInfo], default: str) -> dict[str, Any]:
    """Return what the page's script must know; an empty value of its picker is the default."""
    settings = chat_settings()
    named = [model.name for model in models if takes_images(model.name)]
    return {
        "image_models": [*named, ""] if takes_images(default) else named,
        "most": settings.max_attachments,
        "text_bytes": settings.max_text_file_bytes,
        "image_bytes": settings.max_image_bytes,
        "address": reverse("chat:chat-api-1:attachment", args=[UUID(int=0)]),
    }
