"""Personas: what a conversation begins with, by a name: a system prompt, a model, parameters."""

from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.ids import new_id

if TYPE_CHECKING:
    from chat.models.kept import Viewer

MAX_NAME = 100
MAX_DESCRIPTION = 300
MAX_STARTERS = 6
MAX_STARTER = 500


class PersonaQuerySet(models.QuerySet["Persona"]):
    def owned_by(self, user: "Viewer") -> Self:
        """What a user has made, hidden ones too."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()

    def offered_to(self, user: "Viewer") -> Self:
        """What a user may begin with: their own, and the site's for everybody or their groups."""
        if not user.is_authenticated:
            return self.none()
        named = Persona.groups.through._default_manager.filter(persona=OuterRef("pk"))
        sites = ~Exists(named) | Q(Exists(named.filter(group__user=user.pk)))
        return self.filter(Q(owner_id=user.pk) | Q(sites, owner_id=None), hidden_at=None)

    def readable_by(self, user: "Viewer") -> Self:
        """What is offered to a user, and what they have hidden."""
        offered = self.offered_to(user).values("pk")
        return self.filter(Q(pk__in=offered) | Q(pk__in=self.owned_by(user).values("pk")))


class Persona(models.Model):
    """
    A named way to begin conversations, of a user or of the site.

    What it says stands in its versions, of which new conversations begin with the
    ``newest``. It is hidden and not deleted while a conversation uses one of them.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="personas",
        editable=False,
        verbose_name=_("owner"),
        help_text=_("Empty: it is the site's."),
    )
    groups = models.ManyToManyField(
        "auth.Group",
        blank=True,
        related_name="+",
        verbose_name=_("groups"),
        help_text=_("To whom it is offered. Empty: to everybody."),
    )
    name = models.CharField(_("name"), max_length=MAX_NAME)
    description = models.CharField(_("description"), max_length=MAX_DESCRIPTION, blank=True)
    order = models.PositiveSmallIntegerField(
        _("order"), default=0, help_text=_("The lowest number stands first.")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    hidden_at = models.DateTimeField(_("hidden"), null=True, blank=True, editable=False)
    # Null only while the first one is being made.
    newest = models.ForeignKey(
        "PersonaVersion",
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        editable=False,
        verbose_name=_("newest version"),
    )

    objects = PersonaQuerySet.as_manager()

    class Meta:
        verbose_name = _("persona")
        verbose_name_plural = _("personas")
        ordering = ["order", "name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def hidden(self) -> bool:
        return self.hidden_at is not None

    @property
    def is_sites(self) -> bool:
        return self.owner_id is None


class PersonaVersion(models.Model):
    """What a persona says, as it was saved once. It never changes."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    persona = models.ForeignKey(
        Persona, on_delete=models.CASCADE, related_name="versions", verbose_name=_("persona")
    )
    number = models.PositiveIntegerField(_("version"))
    system_prompt = models.TextField(_("system prompt"), blank=True)
    model = models.CharField(
        _("model"), max_length=200, blank=True, help_text=_("Empty: whichever is chosen.")
    )
    # By the names of the OpenAI API, as those of a conversation.
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    starters = models.JSONField(_("example prompts"), default=list, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        verbose_name=_("made by"),
    )

    class Meta:
        verbose_name = _("version of a persona")
        verbose_name_plural = _("versions of personas")
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                name="one_persona_version_per_number", fields=["persona", "number"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.persona} {self.number}"

    def save(self, *args: Any, **options: Any) -> None:
        """Save it for the first time. A change is another version."""
        if not self._state.adding:
            raise TypeError("A version of a persona does not change. Make another one.")
        super().save(*args, **options)


@receiver(pre_delete, sender="auth.Group")
def _hide_what_was_for_a_group(instance: Any, **_kwargs: Any) -> None:
    """A persona for one group alone is hidden with it; without a group it would be everybody's."""
    through = Persona.groups.through._default_manager
    of_others = through.exclude(group=instance.pk).values("persona")
    alone = Persona.objects.filter(groups=instance.pk, hidden_at=None).exclude(pk__in=of_others)
    alone.update(hidden_at=timezone.now())
