"""What a generation has for going on from another one, whose answer broke off."""

from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils.translation import gettext_lazy as _

# The model's limit on an answer, and a budget that was spent meanwhile.
CUT_REASONS = frozenset({"length", "budget"})
WHOLE_ERRORS = frozenset({"too_long"})  # Nothing can be added to such an answer.


class ContinuedGeneration(models.Model):
    """Of a generation: which one it goes on from, and whether another can go on from it."""

    continues = models.ForeignKey(
        "chat.Generation",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="continued_by",
        editable=False,
        verbose_name=_("goes on from"),
    )

    if TYPE_CHECKING:
        status: Any
        agent: Any
        error: Any
        finish_reason: Any
        is_terminal: Any

    class Meta:
        abstract = True

    @property
    def is_cut(self) -> bool:
        """Whether it broke off, so that what there is of its text can be gone on from."""
        if not self.is_terminal or self.agent:
            return False  # An agent has done more than to write.
        if self.status == "done":
            return self.finish_reason in CUT_REASONS
        return (self.error or {}).get("code") not in WHOLE_ERRORS
