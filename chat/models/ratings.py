"""What people think of answers."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Message
from chat.models.ids import new_id
from chat.models.kept import is_alive

if TYPE_CHECKING:
    from chat.models.kept import Viewer

MAX_COMMENT = 2000


class Good(models.TextChoices):
    """Why an answer is good. Keys are stored and told by the API: they do not change."""

    CORRECT = "correct", _("Correct")
    HELPFUL = "helpful", _("Helpful")
    CLEAR = "clear", _("Easy to follow")
    THOROUGH = "thorough", _("Thorough")
    CONCISE = "concise", _("To the point")


class Bad(models.TextChoices):
    """Why an answer is bad. See Good."""

    INCORRECT = "incorrect", _("Not correct")
    INCOMPLETE = "incomplete", _("Incomplete")
    OFF_TOPIC = "off_topic", _("Not what I asked")
    UNCLEAR = "unclear", _("Hard to follow")
    TOO_LONG = "too_long", _("Too long")
    HARMFUL = "harmful", _("Harmful or offensive")


LABELS = {str(reason.value): reason.label for reason in (*Good, *Bad)}


class RatingQuerySet(models.QuerySet["Rating"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(is_alive("message__conversation__"), owner_id=user.pk)


class Rating(models.Model):
    """
    What the owner of an answer thinks of it, once. Which model gave it, its generation says.

    Read with its message, by one join: pages need no further query.
    """

    class Value(models.IntegerChoices):
        GOOD = 1, _("Good")
        BAD = -1, _("Bad")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, related_name="rating", verbose_name=_("answer")
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="+",
        verbose_name=_("owner"),
    )
    value = models.SmallIntegerField(_("rating"), choices=Value.choices)
    reasons = models.JSONField(_("reasons"), default=list, blank=True)
    comment = models.TextField(_("comment"), blank=True, max_length=MAX_COMMENT)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), default=timezone.now, editable=False)

    objects = RatingQuerySet.as_manager()

    class Meta:
        verbose_name = _("rating")
        verbose_name_plural = _("ratings")
        ordering = ["-updated_at", "-id"]
        indexes = [models.Index(fields=["-updated_at", "-id"], name="rating_newest_first")]
        constraints = [
            models.CheckConstraint(
                name="rating_is_good_or_bad", condition=models.Q(value__in=[1, -1])
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_value_display())

    @property
    def is_good(self) -> bool:
        return self.value == self.Value.GOOD

    @property
    def has_more(self) -> bool:
        """Whether it says more than good or bad."""
        return bool(self.reasons or self.comment)

    @property
    def labels(self) -> list[str]:
        """Its reasons in the language of the page. What a later version stored is told by key."""
        return [str(LABELS.get(reason, reason)) for reason in self.reasons]


def reasons_for(value: int, told: Collection[Any]) -> list[str]:
    """Return those of the reasons told that such a rating can have, each once, in our order."""
    known = Good if value == Rating.Value.GOOD else Bad
    return [str(reason.value) for reason in known if reason in told]
