"""The form of a persona, as its owner and as staff fill it in."""

from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from chat.models import PersonaVersion
from chat.models.kept import MAX_SYSTEM_PROMPT
from chat.models.personas import MAX_DESCRIPTION, MAX_NAME, MAX_STARTER, MAX_STARTERS
from chat.text import clean_text

PARAMETERS = ("temperature", "top_p", "max_tokens")


class ContentForm(forms.Form):
    """What a version of a persona says."""

    system_prompt = forms.CharField(
        label=_("System prompt"),
        required=False,
        max_length=MAX_SYSTEM_PROMPT,
        widget=forms.Textarea(attrs={"rows": 8, "dir": "auto"}),
        help_text=_("What the model is told before all else. Empty: what the site tells it."),
    )
    model = forms.CharField(
        label=_("Model"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "model-names", "autocomplete": "off"}),
        help_text=_("Empty: whichever is chosen in the conversation."),
    )
    temperature = forms.FloatField(
        label=_("Temperature"),
        required=False,
        min_value=0,
        max_value=2,
        help_text=_("From 0, the likeliest words, to 2, the most surprising ones."),
    )
    top_p = forms.FloatField(
        label=_("Top P"),
        required=False,
        min_value=0,
        max_value=1,
        help_text=_("From 0 to 1: only the likeliest words that make up this share."),
    )
    max_tokens = forms.IntegerField(
        label=_("Longest answer, in tokens"), required=False, min_value=1, max_value=1_000_000
    )
    starters = forms.CharField(
        label=_("Example prompts"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=format_lazy(_("One on each line, at most {most}."), most=MAX_STARTERS),
    )

    def clean_system_prompt(self) -> str:
        return clean_text(self.cleaned_data["system_prompt"].replace("\r\n", "\n"))

    def clean_starters(self) -> list[str]:
        lines = map(str.strip, clean_text(self.cleaned_data["starters"]).splitlines())
        starters = [line for line in lines if line]
        if len(starters) > MAX_STARTERS or any(len(line) > MAX_STARTER for line in starters):
            raise forms.ValidationError(
                _("At most %(most)d lines, each of at most %(length)d characters."),
                params={"most": MAX_STARTERS, "length": MAX_STARTER},
            )
        return starters

    def content(self) -> dict[str, Any]:
        """Return what was filled in, as `save_persona` takes it. The form is valid."""
        told = self.cleaned_data
        names = ("system_prompt", "model", "starters")
        given = {name: told[name] for name in PARAMETERS if told[name] is not None}
        return {name: told[name] for name in names} | {"parameters": given}


class PersonaForm(ContentForm):
    name = forms.CharField(label=_("Name"), max_length=MAX_NAME)
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=MAX_DESCRIPTION,
        help_text=_("What it is good for, where it is chosen."),
    )
    field_order = ("name", "description")

    def fields_told(self) -> dict[str, Any]:
        """Return all of what was filled in. The form is valid."""
        names = ("name", "description")
        return {name: clean_text(self.cleaned_data[name]) for name in names} | self.content()


def initial_of(version: PersonaVersion | None) -> dict[str, Any]:
    """Return the fields of a form that says what a version does."""
    if version is None:
        return {}
    return {
        "system_prompt": version.system_prompt,
        "model": version.model,
        "starters": "\n".join(version.starters),
        **version.parameters,
    }
