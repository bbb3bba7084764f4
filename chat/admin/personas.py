"""Personas: those of the site are made here; those of users can be looked at."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from chat.admin.base import ChatAdmin, text_block, username_of
from chat.generations.personas import save_persona
from chat.llm import served
from chat.models import Persona, PersonaVersion
from chat.views.persona_forms import ContentForm, initial_of

if TYPE_CHECKING:
    SiteForm = forms.ModelForm[Persona]
    Inline = admin.TabularInline[PersonaVersion, Persona]
else:
    SiteForm = forms.ModelForm
    Inline = admin.TabularInline

CONTENT = (*("system_prompt", "model", "temperature", "top_p", "max_tokens"), "starters")


class PersonaAdminForm(SiteForm, ContentForm):
    """A persona and what its newest version says: another content is a new version."""

    hidden = forms.BooleanField(
        label=_("Hidden"),
        required=False,
        help_text=_("Conversations that use it go on; new ones cannot begin with it."),
    )

    class Meta:
        model = Persona
        fields = ("name", "description", "groups", "order")

    def __init__(self, *args: Any, **options: Any) -> None:
        persona = options.get("instance")
        if persona is not None:
            options["initial"] = {
                **initial_of(persona.newest),
                "hidden": persona.hidden,
                **(options.get("initial") or {}),
            }
        super().__init__(*args, **options)

    def clean_model(self) -> str:
        name: str = self.cleaned_data["model"]
        if name and not served.is_usable(name):
            raise forms.ValidationError(_("No model has this name."))
        return name


class VersionInline(Inline):
    """The versions, the newest first. They are history: nobody edits them."""

    model = PersonaVersion
    fk_name = "persona"
    extra = 0
    can_delete = False
    ordering = ("-number",)
    fields = ("number", "created_at", "created_by", "model", "parameters", "prompt", "examples")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Persona | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may see a persona sees what it said."""
        return request.user.has_perm("chat.view_persona") or request.user.has_perm(
            "chat.change_persona"
        )

    @admin.display(description=_("system prompt"))
    def prompt(self, version: PersonaVersion) -> str:
        return text_block(version.system_prompt)

    @admin.display(description=_("example prompts"))
    def examples(self, version: PersonaVersion) -> str:
        return text_block("\n".join(version.starters))


@admin.register(Persona)
class PersonaAdmin(ChatAdmin[Persona]):
    form = PersonaAdminForm
    inlines = (VersionInline,)
    list_display = ("name", "whose", "for_groups", "version", "named_model", "is_offered")
    list_filter = (("owner", admin.EmptyFieldListFilter), "groups", "hidden_at")
    list_select_related = ("owner", "newest")
    filter_horizontal = ("groups",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "description", username_of("owner"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Persona]:
        rows = super().get_queryset(request).prefetch_related("groups")
        return rows.defer("newest__system_prompt")

    def get_fieldsets(self, request: HttpRequest, obj: Persona | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            offered = ("groups", "order") if obj.is_sites else ()
            return ((None, {"fields": ("owner", "name", "description", *offered, "hidden_at")}),)
        named = ("name", "description", "groups", "order", "hidden")
        return ((None, {"fields": named}), (_("What it says"), {"fields": CONTENT}))

    def has_change_permission(self, request: HttpRequest, obj: Persona | None = None) -> bool:
        """Nobody but its owner changes what a user has made."""
        is_users = obj is not None and not obj.is_sites
        return not is_users and super().has_change_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: Persona, form: "forms.ModelForm[Persona]", change: bool
    ) -> None:
        assert isinstance(form, PersonaAdminForm)
        if change:  # Locked: of two who save at once each makes a version.
            obj.newest = Persona.objects.select_for_update().get(pk=obj.pk).newest
        changes = form.content() | {"hidden": form.cleaned_data["hidden"]}
        save_persona(obj, changes, by=request.user)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show a persona, and note who looked at somebody else's."""
        persona = context.get("original")
        if persona is not None and persona.owner_id not in (None, request.user.pk):
            self.log_change(request, persona, _now("Persona viewed."))
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("owner"), ordering="owner")
    def whose(self, persona: Persona) -> str:
        return str(persona.owner or _("the site"))

    @admin.display(description=_("groups"))
    def for_groups(self, persona: Persona) -> str:
        if not persona.is_sites:
            return "–"
        return ", ".join(str(group) for group in persona.groups.all()) or str(_("everybody"))

    @admin.display(description=_("version"))
    def version(self, persona: Persona) -> int:
        return persona.newest.number if persona.newest else 0

    @admin.display(description=_("model"))
    def named_model(self, persona: Persona) -> str:
        return (persona.newest.model if persona.newest else "") or "–"

    @admin.display(description=_("offered"), boolean=True)
    def is_offered(self, persona: Persona) -> bool:
        return not persona.hidden
