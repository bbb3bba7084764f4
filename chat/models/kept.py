"""How conversations are kept: pinned, put away, tagged, found again, deleted in two steps."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.search import Unindexed, Words

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    Viewer = AbstractBaseUser | AnonymousUser

UNDO_TIME = timedelta(minutes=10)  # For so long a deleted conversation can be brought back.
TEMPORARY_TIME = timedelta(hours=24)  # A temporary one lives so long after its last prompt.
CLOSED_TIME = timedelta(minutes=1)  # And so long after its page was closed: it may be reloading.

MAX_TAGS = 10
MAX_SYSTEM_PROMPT = 20_000
MAX_TAG_LENGTH = 40

K = TypeVar("K", bound="KeptConversation")


def is_alive(prefix: str = "") -> Q:
    """Return what holds for conversations that are there, by way of a relation to them."""
    when = f"{prefix}deleted_at"
    return Q(**{when: None}) | Q(**{f"{when}__gt": timezone.now()})


# For the tags of a list, and for the list of a tag.
TAGGED_INDEX = models.Index(
    fields=["owner", "-updated_at", "-id"], condition=~Q(tag_lines=""), name="conversation_tagged"
)


class KeptQuerySet(models.QuerySet[K]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        return self.alive().filter(owner_id=user.pk) if user.is_authenticated else self.none()

    def sought_by(self, user: "Viewer", text: str) -> Self:
        """Return what a user owns, as `owned_by` does, and finds by a text, as `search` does."""
        words = Words.of(text)
        few = user.is_authenticated and words.are_few()
        if not few or words.conversations is None:
            return self.owned_by(user)._having(words, few=few)
        # The few that are found lead to their owner, not all that is owned to what is found.
        owner = Unindexed("owner_id")
        return self.alive().alias(whose=owner).filter(whose=user.pk)._having(words)

    def alive(self) -> Self:
        """Neither deleted, nor temporary and over."""
        return self.filter(is_alive())

    def listed(self) -> Self:
        """All but temporary ones, which are in no list, no search and no export."""
        return self.filter(temporary=False)

    def archived(self, archived: bool = True) -> Self:
        return self.filter(archived_at__isnull=not archived)

    def pinned(self, pinned: bool = True) -> Self:
        return self.filter(pinned_at__isnull=not pinned)

    def restorable_by(self, user: "Viewer") -> Self:
        """Return what a user has deleted a moment ago, the last one first."""
        now = timezone.now()
        mine = self.filter(owner_id=user.pk) if user.is_authenticated else self.none()
        recent = mine.filter(temporary=False, deleted_at__lte=now, deleted_at__gt=now - UNDO_TIME)
        return recent.order_by("-deleted_at")

    def gone(self) -> Self:
        """Return what is deleted, or temporary and over."""
        return self.filter(deleted_at__lte=timezone.now())

    def due(self) -> Self:
        """Return what is to be deleted for good."""
        now = timezone.now()
        over = Q(deleted_at__lte=now, temporary=True)
        return self.filter(over | Q(deleted_at__lte=now - UNDO_TIME))

    def with_tags(self) -> Self:
        """Return those with any: in these words they have an index."""
        return self.exclude(tag_lines="")

    def tagged(self, tag: str) -> Self:
        return self.with_tags().filter(tag_lines__contains=f"\n{tag}\n")

    def tags(self) -> list[str]:
        """Return each tag once, in the order of the alphabet."""
        # In this order SQLite reads the index of those with tags, and not what a user owns.
        tagged = self.with_tags().order_by("-updated_at", "-id")
        lines = "".join(dict.fromkeys(tagged.values_list("tag_lines", flat=True)))
        found = {tag.casefold(): tag for tag in lines.split("\n") if tag}
        return [found[key] for key in sorted(found)]

    def id_of(self, client_id: str) -> UUID | None:
        """Return the conversation that a dialect's client calls so."""
        return self.filter(client_id=client_id).values_list("pk", flat=True).first()

    def with_persona(self) -> Self:
        """Load with each the version of a persona that it is pinned to, and the newest one."""
        return self.select_related("persona_version__persona__newest")

    def with_running(self) -> Self:
        """Annotate ``running``: whether an answer is queued or being written."""
        from chat.models.chats import Generation

        active = Generation.objects.active().filter(conversation=OuterRef("pk"))
        return self.annotate(running=Exists(active))

    def with_unread(self) -> Self:
        """
        Annotate ``unread``: whether an answer has ended since its owner last looked.

        Not where a dialect's client asked: its user has read the answer there.
        """
        from chat.models.chats import Generation

        ended = Generation.objects.filter(
            conversation=OuterRef("pk"), ended_at__gt=OuterRef("read_at"), path_digest=None
        )
        answered = Exists(ended.exclude(status=Generation.Status.STOPPED))
        return self.annotate(
            unread=models.ExpressionWrapper(
                Q(client_id=None) & Q(answered), output_field=models.BooleanField()
            )
        )

    def search(self, text: str) -> Self:
        """
        Return those whose title, or one message, has all the words of a text.

        A word is found by its beginning, whatever its case. The index is that of
        the database: see `chat.models.search_index`. Any text may come.
        """
        return self._having(Words.of(text))

    def _having(self, words: Words, *, few: bool = True) -> Self:
        from chat.models.chats import Message

        if not words.typed:
            return self
        if words.conversations is not None:
            return self.filter(pk__in=words.conversations)
        titled = words.in_titles()
        if not words.any:
            return self.filter(titled)
        written = Message.objects.order_by().matching(words).values("conversation_id")
        if not few:
            return self.filter(titled | Q(pk__in=written))
        # One list of both: what is in either of two would be looked for in all there is.
        rows = self.model._default_manager.order_by().filter(titled).values("pk")
        return self.filter(pk__in=rows.union(written))


class KeptConversation(models.Model):
    """What a conversation has for being kept. ``deleted_at`` may lie ahead of a temporary one."""

    pinned_at = models.DateTimeField(_("pinned"), null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True, editable=False)
    # Defaults are the database's too: until they end, older processes do not know the columns.
    temporary = models.BooleanField(_("temporary"), default=False, db_default=False, editable=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True, editable=False)
    # Nobody has given it a title yet, so a model may.
    title_is_first_words = models.BooleanField(default=False, db_default=False, editable=False)
    # When its owner last had it before their eyes.
    read_at = models.DateTimeField(_("read"), default=timezone.now, null=True, editable=False)
    # Each on a line of its own, before and after it a line break; empty without any.
    tag_lines = models.CharField(
        _("tags"), max_length=420, blank=True, default="", db_default="", editable=False
    )
    # Names what was imported: the same again is not imported twice.
    content_key = models.CharField(max_length=64, null=True, blank=True, editable=False)

    # The end of the branch that is shown; none: the newest.
    leaf = models.ForeignKey(
        "chat.Message",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        verbose_name=_("end of the shown branch"),
    )
    # What its answers are asked for, by the names of the OpenAI API; and what the model is told.
    parameters = models.JSONField(_("parameters"), null=True, blank=True, editable=False)
    system_prompt = models.TextField(
        _("system prompt"), blank=True, default="", db_default="", editable=False
    )
    # The version it has begun with, or has been given since: a newer one changes nothing here.
    persona_version = models.ForeignKey(
        "chat.PersonaVersion",
        on_delete=models.RESTRICT,
        null=True,
        blank=True,
        related_name="conversations",
        editable=False,
        verbose_name=_("persona"),
    )

    class Meta:
        abstract = True

    @property
    def is_gone(self) -> bool:
        """Whether it is deleted, or temporary and over."""
        return self.deleted_at is not None and self.deleted_at <= timezone.now()

    @property
    def pinned(self) -> bool:
        return self.pinned_at is not None

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    @property
    def tags(self) -> list[str]:
        return [tag for tag in self.tag_lines.split("\n") if tag]


def tidy_tag(tag: str) -> str:
    """Return a tag on one line."""
    return " ".join(tag.split())


def lines_of(tags: list[str]) -> str:
    """Return ``tag_lines`` of tags: in their order, each once whatever its case."""
    found = {tag.casefold(): tag for tag in reversed([tidy_tag(each) for each in tags]) if tag}
    return "\n" + "\n".join(reversed(found.values())) + "\n" if found else ""


def end_of_temporary(*, closed: bool = False) -> datetime:
    """Return when a temporary conversation that is used now, or closed now, is over."""
    return timezone.now() + (CLOSED_TIME if closed else TEMPORARY_TIME)


def used_now(conversation: KeptConversation) -> dict[str, Any]:
    """Return what a new prompt changes in its conversation."""
    now = timezone.now()
    changes: dict[str, Any] = {"updated_at": now, "read_at": now, "archived_at": None}
    changes["leaf"] = None  # What was asked last is what is shown.
    if conversation.temporary:
        changes["deleted_at"] = end_of_temporary()
    return changes
