"""Rules that say how long what people have said is kept."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.attachments import Attachment
from chat.models.chats import Conversation, Generation
from chat.models.logs import Timing
from chat.models.steps import Step

if TYPE_CHECKING:
    from chat.models.chats import ConversationQuerySet

RUN_EVERY = timedelta(days=1)
MAX_DAYS = 36_500
# So long a process has a rule for itself. It asks for more before each of its batches.
HOLD_TIME = timedelta(minutes=5)


class RetentionRuleQuerySet(models.QuerySet["RetentionRule"]):
    def due(self) -> Self:
        """Return those that are on and have not run for a day, and that no process runs now."""
        long_ago = Q(last_run_at=None) | Q(last_run_at__lte=timezone.now() - RUN_EVERY)
        return self.free().filter(long_ago, is_on=True)

    def free(self) -> Self:
        """Those that no process runs. The clock is the database's, so machines' may differ."""
        return self.filter(Q(held_until=None) | Q(held_until__lte=Now()))

    def hold(self, pk: Any) -> bool:
        """Take a rule for a process, for `HOLD_TIME`. Return whether it was free."""
        return bool(self.free().filter(pk=pk).update(held_until=end_of_hold()))


def end_of_hold() -> CombinedExpression:
    """Return when a hold that begins now is over, by the database's clock."""
    return Now() + HOLD_TIME


class RetentionRule(models.Model):
    """
    What of whose conversations is deleted once they have not been used for some days.

    A conversation is used when a prompt is sent in it. Temporary ones end by themselves, and
    what is being answered, or waits to be, is never taken.
    """

    class Takes(models.TextChoices):
        CONVERSATIONS = "all", _("The whole conversation")
        FILES = "files", _("Its files")
        TRACES = "traces", _("Its traces: steps, notes and times")

    class Scope(models.TextChoices):
        EVERYBODY = "all", _("Everybody")
        # Said by itself: were it read off a list without a group, then deleting the
        # last group would turn its rule on everybody.
        GROUPS = "groups", _("The users of groups")

    name = models.CharField(_("name"), max_length=100, unique=True)
    # Off at first: what it would take is to be looked at before.
    is_on = models.BooleanField(
        _("on"),
        default=False,
        help_text=_("The site runs it once a day. Look at the dry run first."),
    )
    takes = models.CharField(
        _("deletes"), max_length=6, choices=Takes.choices, default=Takes.CONVERSATIONS
    )
    days = models.PositiveIntegerField(
        _("days without use"),
        validators=[MinValueValidator(1), MaxValueValidator(MAX_DAYS)],
        help_text=_("A conversation is used when a prompt is sent in it."),
    )
    scope = models.CharField(
        _("whose"), max_length=6, choices=Scope.choices, default=Scope.EVERYBODY
    )
    groups = models.ManyToManyField(
        "auth.Group", blank=True, related_name="+", verbose_name=_("groups")
    )
    spares_staff = models.BooleanField(_("not those of staff"), default=True)
    archived_only = models.BooleanField(_("only archived ones"), default=False)
    spares_pinned = models.BooleanField(_("not pinned ones"), default=True)
    last_run_at = models.DateTimeField(_("last run"), null=True, blank=True, editable=False)
    # What that took, and what a run that was cut off had taken so far.
    last_taken = models.JSONField(_("taken then"), null=True, blank=True, editable=False)
    held_until = models.DateTimeField(null=True, blank=True, editable=False)

    objects = RetentionRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("retention rule")
        verbose_name_plural = _("retention rules")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def conversations(self) -> "ConversationQuerySet":
        """Return those that it takes something of now."""
        before = timezone.now() - timedelta(days=self.days)
        found = Conversation.objects.filter(deleted_at=None, temporary=False, updated_at__lt=before)
        if self.archived_only:
            found = found.archived()
        if self.spares_pinned:
            found = found.pinned(False)
        active = Generation.objects.active().filter(conversation=OuterRef("pk"))
        found = found.filter(~Exists(active), *self._of_its_people())
        return found.filter(self._has_something())

    def _of_its_people(self) -> list[Q]:
        people = get_user_model()._default_manager.order_by()
        kept = []
        if self.scope == self.Scope.GROUPS:
            members = people.filter(groups__in=self.groups.values("pk"))
            kept.append(Q(owner__in=members.values("pk")))
        if self.spares_staff and _have_staff():
            kept.append(~Q(owner__in=people.filter(is_staff=True).values("pk")))
        return kept

    def _has_something(self) -> Q:
        match self.takes:
            case self.Takes.FILES:
                files = Attachment.objects.filter(message__conversation=OuterRef("pk"))
                return Q(Exists(files))
            case self.Takes.TRACES:
                steps = Step.objects.filter(generation__conversation=OuterRef("pk"))
                times = Timing.objects.filter(generation__conversation=OuterRef("pk"))
                return Q(Exists(steps)) | Q(Exists(times))
        return Q()

    @property
    def terms(self) -> str:
        """What it does and to whom, in a form in which any two that differ can be told apart."""
        groups = sorted(str(pk) for pk in self.groups.values_list("pk", flat=True))
        spared = (self.spares_staff, self.archived_only, self.spares_pinned)
        return f"{self.takes}/{self.days}/{self.scope}/{','.join(groups)}/{spared}"


def _have_staff() -> bool:
    """Tell whether the site's user model knows staff at all."""
    try:
        get_user_model()._meta.get_field("is_staff")
    except FieldDoesNotExist:
        return False
    return True
