"""Attachments: kept until a prompt names them, given to the model, forgotten if not sent."""

import asyncio
import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chat.conf import chat_settings
from chat.database import in_transaction
from chat.errors import (
    AttachmentTooLarge,
    BadRequest,
    ImagesNotSupported,
    NotFound,
)
from chat.llm.vision import takes_images
from chat.models import Attachment, Message
from chat.models.ids import new_id
from chat.text import Illustrated
from chat.uploads import Upload, read_upload

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

IMAGE_CHARS = 4000  # What an image takes of the context, as text is counted.
FENCE = re.compile(r"^\s*(`{3,})", re.MULTILINE)


async def keep_attachment(user: "AbstractBaseUser", *, name: str, content: bytes) -> Attachment:
    """Keep a file until a prompt names it. Raise AttachmentTooLarge or UnsupportedFile."""
    upload = await asyncio.to_thread(read_upload, name, content)
    return await in_transaction(_keep, user, upload)


async def remove_attachment(user: "AbstractBaseUser", attachment_id: UUID) -> None:
    """Delete a file that was not sent. Raise NotFound, also for one that was."""
    await in_transaction(_remove, user, attachment_id)


def _keep(user: "AbstractBaseUser", upload: Upload) -> Attachment:
    limit = chat_settings().max_unsent_bytes
    unsent = Attachment.objects.unsent_by(user).total_size()
    if unsent + len(upload.content) > limit:
        raise AttachmentTooLarge(
            f"{upload.name}: your files that are not sent yet would have more than {limit} bytes"
            " together. Send or remove some first."
        )
    return Attachment.objects.create(
        owner_id=user.pk,
        name=upload.name,
        kind=upload.kind,
        media_type=upload.media_type,
        size=len(upload.content),
        content=upload.content,
        sha256=hashlib.sha256(upload.content).hexdigest(),
    )


def _remove(user: "AbstractBaseUser", attachment_id: UUID) -> None:
    deleted, _ = Attachment.objects.unsent_by(user).filter(pk=attachment_id).delete()
    if not deleted:
        raise NotFound


def check_attachments(user: "AbstractBaseUser", ids: Sequence[UUID], model: str) -> None:
    """Raise BadRequest or ImagesNotSupported for files that a prompt cannot have."""
    limit = chat_settings().max_attachments
    if len(ids) > limit:
        raise BadRequest(
            f"attachments: a message has at most {limit}. Send the others with the next."
        )
    found = Attachment.objects.unsent_by(user).select_for_update()
    kinds = dict(found.filter(pk__in=ids).values_list("pk", "kind"))
    for pk in ids:
        if pk not in kinds:
            raise BadRequest(f"attachments: {pk} is unknown or was sent already. Upload it again.")
    if Attachment.Kind.IMAGE in kinds.values() and not takes_images(model):
        raise ImagesNotSupported(
            f"The model {model} takes no images. Choose another model, or remove the images."
        )


def link(prompt: Message, ids: Sequence[UUID]) -> None:
    """Let a prompt that is saved have its files, which were checked in the same transaction."""
    Attachment.objects.filter(pk__in=ids).update(message=prompt)


def copy_attachments(copies: Iterable[tuple[Message, Message]], owner_id: Any) -> None:
    """Give the copies of messages, once saved, copies of their files."""
    for original, copy in copies:
        if not original.attached:
            continue
        rows = list(Attachment.objects.filter(message_id=original.pk))
        for row in rows:
            row.pk, row.message, row.owner_id = new_id(), copy, owner_id
        Attachment.objects.bulk_create(rows)


def exchange(moves: Iterable[tuple[UUID, UUID]]) -> None:
    """Let the files of messages go to others, all at once: what waits has changed places."""
    pairs = list(moves)
    held = Message.objects.filter(pk__in=[old for old, _ in pairs], attached__gt=0)
    counts = dict(held.values_list("pk", "attached"))
    if not counts:
        return
    rows = Attachment.objects.filter(message_id__in=counts).values_list("message_id", "pk")
    files: dict[UUID | None, list[UUID]] = {}
    for message_id, pk in rows:
        files.setdefault(message_id, []).append(pk)
    for old, new in pairs:
        Attachment.objects.filter(pk__in=files.get(old, [])).update(message_id=new)
        Message.objects.filter(pk=new).update(attached=counts.get(old, 0))


def prune_unsent() -> int:
    """Delete what was uploaded and not sent for a day. Return how many. A unit of work."""
    return Attachment.objects.forgotten().delete()[0]


def with_files(text: str, message_id: UUID, *, images: bool, limit: int | None = None) -> str:
    """
    Return what the model is told of a prompt: its files, each under its name, and its text.

    Files past ``limit`` characters are only named; so are images where a model takes none.
    """
    blocks: list[str] = []
    pictures: list[str] = []
    for file in Attachment.objects.filter(message_id=message_id).defer("content"):
        cost = IMAGE_CHARS if file.is_image else file.size
        if (file.is_image and not images) or (limit is not None and cost > limit):
            blocks.append(f"[{file.name}: {file.get_kind_display().lower()}, not shown]")
            continue
        limit = None if limit is None else limit - cost
        content = bytes(file.content)
        if file.is_image:
            blocks.append(f"[{file.name}]")
            encoded = base64.b64encode(content).decode()
            pictures.append(f"data:{file.media_type};base64,{encoded}")
        else:
            blocks.append(_fenced(file.name, content.decode()))
    said = "\n\n".join([*blocks, text])
    return Illustrated(said, pictures) if pictures else said


def _fenced(name: str, text: str) -> str:
    """Return a file as a block that nothing inside it can end."""
    longest = max((len(fence) for fence in FENCE.findall(text)), default=2)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{name}:\n{fence}\n{text}{end}{fence}"
