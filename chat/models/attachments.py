"""Files beside prompts: uploaded first, and then named by the prompt that they belong to."""

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.ids import new_id
from chat.models.kept import is_alive

if TYPE_CHECKING:
    from chat.models.kept import Viewer

UNSENT_TIME = timedelta(days=1)  # For so long an upload waits for its prompt.


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        there = Q(message=None) | is_alive("message__conversation__")
        return self.filter(there, owner_id=user.pk)

    def unsent(self) -> Self:
        return self.filter(message=None)

    def unsent_by(self, user: "Viewer") -> Self:
        """Return what a user has uploaded only: of one table, so that the rows can be locked."""
        return self.unsent().filter(owner_id=user.pk) if user.is_authenticated else self.none()

    def forgotten(self) -> Self:
        """Return what nobody has sent for a day."""
        return self.unsent().filter(created_at__lt=timezone.now() - UNSENT_TIME)

    def total_size(self) -> int:
        """Return how many bytes all of them have."""
        return self.aggregate(total=Sum("size"))["total"] or 0


class Attachment(models.Model):
    """
    A file of a user. Its content is in the database: backup and deletion stay one thing.

    ``media_type`` and ``content`` are ours, never the client's word: a text is UTF-8, an
    image was written anew from its pixels.
    """

    class Kind(models.TextChoices):
        TEXT = "text", _("Text")
        IMAGE = "image", _("Image")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("owner"),
    )
    message = models.ForeignKey(
        "Message",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="attachments",
        verbose_name=_("message"),
        help_text=_("Empty: uploaded, and not sent yet."),
    )
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=5, choices=Kind.choices)
    media_type = models.CharField(_("media type"), max_length=50)
    size = models.PositiveIntegerField(_("size"))
    content = models.BinaryField(_("content"))
    sha256 = models.CharField("SHA-256", max_length=64)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["owner", "created_at"],
                condition=Q(message=None),
                name="attachment_unsent",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_image(self) -> bool:
        return self.kind == self.Kind.IMAGE

    def as_news(self) -> dict[str, Any]:
        """Return what clients are told of it."""
        names = ("id", "name", "kind", "media_type", "size")
        return {name: getattr(self, name) for name in names}


class WithAttachments(models.Model):
    """What a message has for its files: without any, nobody has to ask for them."""

    # The default is the database's too: until they end, older processes do not know the column.
    attached = models.PositiveSmallIntegerField(
        _("attachments"), default=0, db_default=0, editable=False
    )

    class Meta:
        abstract = True

    @property
    def files(self) -> list[Attachment]:
        """Its attachments in the order of their upload, without their content."""
        if "_files" not in self.__dict__:
            load_files([self])
        found: list[Attachment] = self.__dict__["_files"]
        return found


def load_files(messages: Collection[WithAttachments]) -> None:
    """Read the ``files`` of messages: in one query, and in none where there are not any."""
    found: dict[Any, list[Attachment]] = {each.pk: [] for each in messages if each.attached}
    if found:
        for file in Attachment.objects.filter(message_id__in=found).defer("content"):
            found[file.message_id].append(file)
    for each in messages:
        each.__dict__["_files"] = found.get(each.pk, [])
