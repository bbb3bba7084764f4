"""All that is stored of a user, as a ZIP archive: written piece by piece, whatever its size."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils import timezone

from chat.database import in_database
from chat.models import Attachment, Conversation
from chat.transfer.about import notes_about
from chat.transfer.belongings import Belonging, belongings, strange_models
from chat.transfer.exporting import CONVERSATIONS, as_json
from chat.transfer.reading import as_markdown

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

FORMAT = "chat-user"
VERSION = 1
ROWS = 200
UNSAFE = re.compile(r"[^\w.() -]+")
SECRET = ("password",)  # Of an account.
README = """\
All that the site had stored of one user.

account.json         the account
conversations.json   all conversations with all branches; the site can import it
conversations/       the same to read, as Markdown, one file each
attachments/         the files that were uploaded
data/                the rows of the database, a line of JSON each, by model
manifest.json        how many of what, the SHA-256 of each file, and what was left out and why
"""


class Archive:
    """A ZIP archive that knows what is in it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._zip = ZipFile(stream, "w", ZIP_DEFLATED)
        self.files: list[dict[str, Any]] = []

    @contextmanager
    def file(self, path: str) -> "Iterator[_File]":
        # Its size is not known before it is written, and may pass 4 GB.
        with self._zip.open(path, "w", force_zip64=True) as stream:
            file = _File(stream)
            yield file
        digest = file.digest.hexdigest()
        self.files.append({"path": path, "bytes": file.size, "sha256": digest})

    def add(self, path: str, content: Any) -> None:
        with self.file(path) as file:
            file.write(_encode(content, indent=2) + "\n")

    def close(self) -> None:
        self._zip.close()

    def abandon(self) -> None:
        self._zip.fp = None  # Else it would be ended as if it were whole.


class _File:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, content: str | bytes) -> None:
        data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        self.digest.update(data)
        self.size += len(data)
        self._stream.write(data)

    def write_lines(self, contents: Iterable[Any]) -> int:
        """Write a line of JSON for each of them. Return how many there were."""
        count = 0
        for each in contents:
            self.write(_encode(each) + "\n")
            count += 1
        return count


async def write_whole(user: "AbstractBaseUser", stream: IO[bytes]) -> dict[str, Any]:
    """
    Write all that is stored of a user into a file, which may be a pipe. Return its manifest.

    Deleted and temporary conversations are there for as long as they are stored. Memory
    holds a few rows, or one attachment. What changes meanwhile may be there or not.
    """
    archive = Archive(stream)
    try:
        counts = await _fill(archive, user)
        manifest = _manifest(archive, user, counts)
        archive.add("manifest.json", manifest)
        archive.close()
    except BaseException:
        archive.abandon()
        raise
    return manifest


async def _fill(archive: Archive, user: "AbstractBaseUser") -> Counter[str]:
    with archive.file("README.txt") as file:
        file.write(README)
    await in_database(_write_account, archive, user)
    with archive.file("conversations.json") as file:
        async for piece in as_json(_conversations_of(user)):
            file.write(piece)
    async for conversation in _conversations_of(user):
        with archive.file(f"conversations/{conversation.pk}.md") as file:
            async for piece in as_markdown(_only(conversation), all_branches=True):
                file.write(piece)
    await in_database(_write_attachments, archive, user)
    counts: Counter[str] = Counter()
    for each in belongings():
        if not each.not_exported:
            counts[each.label] = await in_database(_write_rows, archive, each, user)
    counts["notes about them"] = await in_database(_write_notes, archive, user)
    return counts


def _manifest(archive: Archive, user: "AbstractBaseUser", counts: Counter[str]) -> dict[str, Any]:
    rows = {each.label: each.not_exported for each in belongings() if each.not_exported}
    account = get_user_model()._meta.label
    columns = {f"{account}.{name}": "is for signing in" for name in SECRET}
    for each in belongings():
        columns |= {f"{each.label}.{name}": reason for name, reason in each.left_out.items()}
    unknown = dict.fromkeys(strange_models(), "is of an app that the chat does not know")
    return {
        "format": FORMAT,
        "version": VERSION,
        "username": user.get_username(),
        "exported_at": timezone.now(),
        "counts": dict(counts),
        "files": list(archive.files),
        "left_out": rows | columns | unknown,
    }


def _write_account(archive: Archive, user: "AbstractBaseUser") -> None:
    account = get_user_model()._default_manager.get(pk=user.pk)
    fields = [each for each in account._meta.concrete_fields if each.name not in SECRET]
    content = {each.name: each.value_from_object(account) for each in fields}
    for each in account._meta.many_to_many:
        content[each.name] = [str(other) for other in getattr(account, each.name).all()]
    archive.add("account.json", content)


def _write_attachments(archive: Archive, user: "AbstractBaseUser") -> None:
    # One at a time: a row holds the whole of its file.
    for pk in list(Attachment.objects.filter(owner_id=user.pk).values_list("pk", flat=True)):
        row = Attachment.objects.filter(pk=pk).first()
        if row is not None:  # Removed meanwhile.
            with archive.file(f"attachments/{pk}/{_safe(row.name)}") as file:
                file.write(bytes(row.content))


def _write_rows(archive: Archive, belonging: Belonging, user: "AbstractBaseUser") -> int:
    columns = belonging.columns
    # In the order of their keys: that needs no sorting of whole texts in memory.
    rows = belonging.rows_of(user).only(*(each.name for each in columns)).order_by("pk")
    with archive.file(f"data/{belonging.label}.jsonl") as file:
        return file.write_lines(_as_dict(row, belonging) for row in rows.iterator(ROWS))


def _as_dict(row: Model, belonging: Belonging) -> dict[str, Any]:
    return {each.attname: each.value_from_object(row) for each in belonging.columns}


def _write_notes(archive: Archive, user: "AbstractBaseUser") -> int:
    with archive.file("data/notes-about-them.jsonl") as file:
        return file.write_lines(notes_about(user))


async def _conversations_of(user: "AbstractBaseUser") -> AsyncIterator[Conversation]:
    """Yield all that are stored, the oldest first: deleted and temporary ones, too."""
    after = UUID(int=0)
    while rows := await in_database(_page, user, after):
        for conversation in rows:
            yield conversation
        after = rows[-1].pk


def _page(user: "AbstractBaseUser", after: UUID) -> list[Conversation]:
    rows = Conversation.objects.filter(owner_id=user.pk, pk__gt=after).with_persona()
    return list(rows.order_by("pk")[:CONVERSATIONS])


async def _only(conversation: Conversation) -> AsyncIterator[Conversation]:
    yield conversation


def _safe(name: str) -> str:
    """Return a name that leaves its folder on no system."""
    return UNSAFE.sub("_", name).strip(". ")[:150] or "file"


def _encode(content: Any, *, indent: int | None = None) -> str:
    return json.dumps(content, ensure_ascii=False, indent=indent, default=_plain)


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
