"""What is told of one answer to whoever asks where it came from. See `chat.traces.facts`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from chat.drawing.timeline import duration
from chat.models import Generation, Message, Provenance
from chat.traces.facts import Facts, between, shortened, speed_of, usage_of, waited
from chat.traces.family import Origin, origin_of
from chat.traces.rows import rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Facts that belong together. Those that nobody knows are left out."""

    title: str
    facts: Facts
    is_code: bool = False  # Values that are copied rather than read.


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    message: Message
    generation: Generation | None
    groups: list[Group]
    parameters: Facts
    system_prompt: str  # Empty: the site's own, or nobody knows any more.
    origin: Origin | None  # Where its conversation was forked from.

    @property
    def is_copy(self) -> bool:
        """Whether it came here with a fork: what it was made with stands where it was given."""
        return self.generation is None and self.message.conversation.forked_from_id is not None


def about(message: Message) -> About:
    """Return what is known of an answer, read ``with_thought()`` and with its generation."""
    generation: Generation | None = getattr(message, "generation", None)
    kept: Provenance | None = getattr(generation, "provenance", None)
    groups = [
        Group(title=_("Given by"), facts=_given(message, generation)),
        Group(title=_("Time"), facts=_times(message, generation)),
        Group(title=_("Use"), facts=_used(generation, kept) if generation else []),
        Group(title=_("For support"), facts=_ids(message, generation), is_code=True),
    ]
    return About(
        message=message,
        generation=generation,
        groups=[group for group in groups if group.facts],
        parameters=_parameters(kept.parameters) if kept else [],
        system_prompt=kept.system_prompt if kept else "",
        origin=origin_of(message.conversation),
    )


def _known(*facts: tuple[str, str]) -> Facts:
    return [(label, value) for label, value in facts if value]


def _given(message: Message, generation: Generation | None) -> Facts:
    version = _version(message)
    if generation is None:
        return _known((_("Version"), version))
    rows = rows_of([generation], {}) if generation.agent else []
    finished = str(generation.get_status_display())
    return _known(
        (_("Model"), generation.model),
        (_("Agent"), generation.agent),
        (_("Route"), " → ".join(shortened([row.name for row in rows]))),
        (_("Reason"), " · ".join(shortened([row.reason for row in rows if row.reason]))),
        (_("Status"), finished),
        (_("Finish reason"), generation.finish_reason),
        (_("Version"), version),
    )


def _version(message: Message) -> str:
    here = Message.objects.filter(conversation_id=message.conversation_id)
    ids = here.versions({message.parent_id}).get(message.parent_id, [])
    if len(ids) < 2 or message.pk not in ids:
        return ""
    places = {"number": ids.index(message.pk) + 1, "count": len(ids)}
    return _("%(number)d of %(count)d") % places


def _times(message: Message, generation: Generation | None) -> Facts:
    if generation is None:
        return _known((_("Given"), _moment(message.created_at)))
    thought_ms: int | None = getattr(message, "thought_ms", None)
    return _known(
        (_("Asked"), _moment(generation.created_at)),
        (_("Waited in the queue"), waited(generation)),
        (_("First token after"), between(generation, "started_at", "first_delta_at")),
        (_("Thought for"), "" if thought_ms is None else duration(thought_ms / 1000)),
        (_("Duration"), between(generation, "started_at", "ended_at")),
    )


def _moment(moment: datetime) -> str:
    return formats.date_format(timezone.localtime(moment), "DATETIME_FORMAT")


def _used(generation: Generation, kept: Provenance | None) -> Facts:
    usage = usage_of(generation.usage)
    counted = {name: formats.number_format(count) for name, count in usage.items()}
    cost = _("Cost") if usage else _("Cost, estimated")
    return _known(
        (_("Tokens in"), counted.get("input_tokens", "")),
        (_("Tokens out"), counted.get("output_tokens", "")),
        (_("Speed"), speed_of(generation)),
        (cost, f"{_amount(kept.cost)} {kept.currency}" if kept and kept.currency else ""),
    )


def _amount(cost: int) -> str:
    """Return billionths as a number of at least two digits after the point, and at most six."""
    whole, _dot, rest = f"{Decimal(cost).scaleb(-9):.6f}".partition(".")
    return formats.number_format(Decimal(f"{whole}.{rest.rstrip('0'):0<2}"))


def _ids(message: Message, generation: Generation | None) -> Facts:
    ids = [(_("Message"), str(message.pk))]
    if generation is not None:
        ids += [
            (_("Generation"), str(generation.pk)),
            (_("Request"), generation.idempotency_key or ""),
            (_("Events"), formats.number_format(generation.cursor) if generation.cursor else ""),
        ]
    return _known(*ids)


def _parameters(given: Mapping[str, Any]) -> Facts:
    names = {
        "temperature": _("Temperature"),
        "top_p": _("Top P"),
        "max_tokens": _("Longest answer, in tokens"),
        "max_completion_tokens": _("Longest answer, in tokens"),
    }
    # Databases may not keep their order; numbers are as they were set, whatever the language.
    order = [name for name in names if name in given] + sorted(given.keys() - names)
    return [(names.get(name, name), json.dumps(given[name], ensure_ascii=False)) for name in order]
