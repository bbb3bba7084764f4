"""What people note down about the steps of agents."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.kept import is_alive
from chat.models.steps import Step

if TYPE_CHECKING:
    from chat.models.kept import Viewer


class AnnotationQuerySet(models.QuerySet["Annotation"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        alive = is_alive("step__generation__conversation__")
        return self.filter(alive, step__generation__owner_id=user.pk)


class Annotation(models.Model):
    """Tags and observations: whether a step was right, what it should have been, a note."""

    id = models.BigAutoField(primary_key=True)  # A number: the clients that make them need one.
    step = models.ForeignKey(
        Step, on_delete=models.CASCADE, related_name="annotations", verbose_name=_("step")
    )
    span_id = models.CharField(_("span"), max_length=200, blank=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    observations = models.JSONField(_("observations"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = AnnotationQuerySet.as_manager()

    class Meta:
        verbose_name = _("annotation")
        verbose_name_plural = _("annotations")
        ordering = ["id"]

    def __str__(self) -> str:
        return ", ".join(self.tags) or str(_("Annotation")) + f" {self.pk}"
