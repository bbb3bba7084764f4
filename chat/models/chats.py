"""Conversations, their tree of messages, and the generations that write answers."""

from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.attachments import WithAttachments
from chat.models.continued import ContinuedGeneration
from chat.models.found import FoundQuerySet
from chat.models.ids import new_id
from chat.models.kept import TAGGED_INDEX, KeptConversation, KeptQuerySet, is_alive

if TYPE_CHECKING:
    from chat.models.kept import Viewer


class ConversationQuerySet(KeptQuerySet["Conversation"]):
    """Of conversations."""


class Conversation(KeptConversation):
    """A user's thread of messages."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="conversations",
        verbose_name=_("owner"),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    model = models.CharField(
        _("model"), max_length=200, blank=True, help_text=_("Empty: the site's default model.")
    )
    agent = models.CharField(
        _("agent"), max_length=100, blank=True, help_text=_("Empty: the model answers by itself.")
    )
    # What the client of a dialect calls it, after the name of that dialect.
    client_id = models.CharField(
        _("client's id"), max_length=300, null=True, blank=True, editable=False
    )
    # Where it comes from, if it began as a copy of another one's path.
    forked_from = models.ForeignKey(
        "Message",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="forks",
        editable=False,
        verbose_name=_("forked from"),
    )
    forked_at_step = models.ForeignKey(
        "Step",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="forks",
        editable=False,
        verbose_name=_("forked at step"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-updated_at", "-id"]
        indexes = [
            models.Index(fields=["owner", "-updated_at", "-id"], name="conversation_newest_first"),
            models.Index(
                fields=["owner", "-pinned_at", "-id"],
                condition=Q(pinned_at__isnull=False),
                name="conversation_pinned",
            ),
            TAGGED_INDEX,
            models.Index(
                fields=["deleted_at"],
                condition=Q(deleted_at__isnull=False),
                name="conversation_deleted",
            ),
        ]
        constraints = [
            # What is deleted stands in nobody's way.
            models.UniqueConstraint(
                name="one_conversation_per_client_id",
                fields=["owner", "client_id"],
                condition=Q(deleted_at=None),
            ),
            models.UniqueConstraint(
                name="one_conversation_per_content_key",
                fields=["owner", "content_key"],
                condition=Q(deleted_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(_("New conversation"))


class MessageQuerySet(FoundQuerySet["Message"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(is_alive("conversation__"), conversation__owner_id=user.pk)

    def answers(self) -> Self:
        """What a prompt can follow: not prompts, nor the answers of those removed from a queue."""
        removed = Generation.objects.filter(
            message=models.OuterRef("pk"),
            status=Generation.Status.STOPPED,
            started_at=None,
        )
        return self.exclude(role=Message.Role.USER).exclude(models.Exists(removed))

    def open_ends(self) -> Self:
        """Prompts that nothing follows, not even an empty answer: what a fork may end with."""
        followed = Message.objects.filter(parent=models.OuterRef("pk"))
        return self.filter(role=Message.Role.USER).exclude(models.Exists(followed))


class Message(WithAttachments):
    """
    One turn. Messages form a tree: an edit or a regeneration adds a sibling.

    The assistant's message is created with its generation, empty, so that
    prompts sent meanwhile can hang below it; its text is complete when the
    generation is terminal.
    """

    class Role(models.TextChoices):
        SYSTEM = "system", _("System")
        USER = "user", _("User")
        ASSISTANT = "assistant", _("Assistant")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="messages",
        verbose_name=_("conversation"),
    )
    parent = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("parent"),
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    text = models.TextField(_("text"), blank=True)
    reasoning = models.TextField(_("reasoning"), blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ["id"]
        indexes = [models.Index(fields=["conversation", "id"], name="message_oldest_first")]

    def __str__(self) -> str:
        return self.text[:80]


class GenerationQuerySet(models.QuerySet["Generation"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        return self.alive().filter(owner_id=user.pk) if user.is_authenticated else self.none()

    def alive(self) -> Self:
        """Not those of conversations that were deleted."""
        return self.filter(is_alive("conversation__"))

    def queued(self) -> Self:
        return self.filter(status=Generation.Status.QUEUED)

    def running(self) -> Self:
        return self.filter(status=Generation.Status.RUNNING)

    def active(self) -> Self:
        """Queued or running: whatever has not ended."""
        return self.filter(status__in=[Generation.Status.QUEUED, Generation.Status.RUNNING])

    def active_in(self, conversation: "Conversation") -> Self:
        return self.active().filter(conversation=conversation)


class Generation(ContinuedGeneration):
    """One run of the chain, writing one assistant message."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")  # Accepted; another answer of its conversation runs.
        RUNNING = "running", _("Running")  # Its chain is being read.
        DONE = "done", _("Done")  # The model finished its answer.
        STOPPED = "stopped", _("Stopped")  # Its owner or staff stopped it; the text is kept.
        FAILED = "failed", _("Failed")  # ``error`` says why; the text is kept.
        INTERRUPTED = "interrupted", _("Interrupted")  # Its process ended; the text is kept.

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="generations",
        verbose_name=_("owner"),
    )
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="generations",
        verbose_name=_("conversation"),
    )
    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, related_name="generation", verbose_name=_("message")
    )
    status = models.CharField(
        _("status"), max_length=11, choices=Status.choices, default=Status.QUEUED
    )
    model = models.CharField(_("model"), max_length=200)
    # The default is the database's too: until they end, older processes do not know the column.
    agent = models.CharField(_("agent"), max_length=100, blank=True, default="", db_default="")
    idempotency_key = models.CharField(
        _("idempotency key"), max_length=128, null=True, blank=True, editable=False
    )
    # SHA-256 of the request that used the key: the same key with another request is refused.
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started"), null=True, blank=True)
    first_delta_at = models.DateTimeField(_("first token"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    cursor = models.PositiveIntegerField(
        _("cursor"), default=0, help_text=_("Of the last event; known when it has ended.")
    )
    finish_reason = models.CharField(_("finish reason"), max_length=50, blank=True)
    usage = models.JSONField(_("usage"), null=True, blank=True)
    error = models.JSONField(_("error"), null=True, blank=True)
    # Whose it is: a process that does not hold the newest epoch can write nothing.
    worker = models.UUIDField(_("worker"), null=True, blank=True, editable=False)
    epoch = models.PositiveIntegerField(_("epoch"), default=0, editable=False)
    stop_requested_at = models.DateTimeField(_("stop asked for"), null=True, blank=True)
    # Of what its client has told, where a client tells all of a conversation with each prompt.
    path_digest = models.CharField(max_length=64, null=True, blank=True, editable=False)
    # What the model is asked for besides: a length, where to stop, how freely to choose.
    options = models.JSONField(_("options"), null=True, blank=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        verbose_name = _("generation")
        verbose_name_plural = _("generations")
        ordering = ["-id"]
        constraints = [
            # The database, not a lock in one process, keeps turns in single file.
            models.UniqueConstraint(
                name="one_running_generation_per_conversation",
                fields=["conversation"],
                condition=Q(status="running"),
            ),
            models.UniqueConstraint(
                name="one_generation_per_idempotency_key",
                fields=["owner", "idempotency_key"],
            ),
        ]
        indexes = [
            models.Index(fields=["owner", "-id"], name="generation_newest_first"),
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["queued", "running"]),
                name="generation_active",
            ),
            models.Index(
                fields=["owner", "path_digest"],
                condition=Q(path_digest__isnull=False),
                name="generation_told",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.status}"

    @property
    def is_terminal(self) -> bool:
        return self.status not in (self.Status.QUEUED, self.Status.RUNNING)

    def queue_position(self) -> int:
        """Return its place among those that wait in its conversation, 0 when it does not wait."""
        if self.status != self.Status.QUEUED:
            return 0
        queued = Generation.objects.queued().filter(conversation_id=self.conversation_id)
        return queued.filter(message_id__lte=self.message_id).count()
