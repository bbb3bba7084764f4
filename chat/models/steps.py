"""What an agent did to give an answer: one row per action of its graph."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Generation
from chat.models.ids import new_id
from chat.models.kept import is_alive

if TYPE_CHECKING:
    from chat.models.kept import Viewer


class StepQuerySet(models.QuerySet["Step"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(is_alive("generation__conversation__"), generation__owner_id=user.pk)

    def running(self) -> Self:
        return self.filter(status=Step.Status.STARTED)


class Step(models.Model):
    """
    One action of an agent, with the state it found and the state it left.

    Saved when it starts and again when it ends. A step that was stopped, or
    whose process ended, is a failed one: ``error`` says which.
    """

    class Status(models.TextChoices):
        STARTED = "started", _("Started")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    generation = models.ForeignKey(
        Generation,
        on_delete=models.CASCADE,
        related_name="steps",
        db_index=False,  # The constraint has one.
        verbose_name=_("generation"),
    )
    # Counts 0, 1, 2 … through all of a conversation.
    sequence = models.PositiveIntegerField(_("sequence"))
    name = models.CharField(_("name"), max_length=100)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.STARTED
    )
    inputs = models.JSONField(_("inputs"), default=dict, blank=True)
    state_before = models.JSONField(_("state before"), default=dict, blank=True)
    # Null while it runs, and when it failed before it had changed anything.
    state_after = models.JSONField(_("state after"), null=True, blank=True)
    result = models.JSONField(_("result"), null=True, blank=True)
    error = models.TextField(_("error"), blank=True, help_text=_("A traceback, for staff only."))
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    first_delta_at = models.DateTimeField(_("first token"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    deltas = models.PositiveIntegerField(_("deltas"), default=0)
    # Of models that said what they used. Older processes do not know the column.
    calls = models.PositiveIntegerField(_("model calls"), default=0, db_default=0)
    usage = models.JSONField(_("usage"), null=True, blank=True)

    objects = StepQuerySet.as_manager()

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        ordering = ["generation", "sequence"]
        constraints = [
            models.UniqueConstraint(
                name="one_step_per_sequence", fields=["generation", "sequence"]
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.name}"
