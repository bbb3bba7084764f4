"""
Burr's tracking, as the JSON of its telemetry server: what an agent is and what it did.

Pure functions of values; the rows and graphs of the site have the attributes
that are asked for here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from chat.events import encode_json

Json = dict[str, Any]

# Whose API this is: Burr's of this version.
VERSION = "0.43.0"
BACKEND = {
    "indexing": False,
    "snapshotting": False,
    "supports_demos": True,
    "supports_annotations": True,
}


class Action(Protocol):
    """See `chat.agents.graph.Action`."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def reads(self) -> Sequence[str]: ...
    @property
    def writes(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def optional_inputs(self) -> Sequence[str]: ...
    @property
    def code(self) -> str: ...
    @property
    def is_terminal(self) -> bool: ...


class Transition(Protocol):
    """See `chat.agents.graph.Transition`."""

    @property
    def source(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def condition(self) -> str: ...


class Graph(Protocol):
    """See `chat.agents.graph.Graph`."""

    @property
    def entrypoint(self) -> str: ...
    @property
    def actions(self) -> Sequence[Action]: ...
    @property
    def transitions(self) -> Sequence[Transition]: ...


class Step(Protocol):
    """See `chat.models.Step`."""

    @property
    def sequence(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Any]: ...
    @property
    def state_before(self) -> Mapping[str, Any]: ...
    @property
    def state_after(self) -> Mapping[str, Any] | None: ...
    @property
    def result(self) -> Mapping[str, Any] | None: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def first_delta_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def deltas(self) -> int: ...
    @property
    def usage(self) -> Mapping[str, int] | None: ...


def application(graph: Graph) -> Json:
    """Return a state machine. After the end of an answer it waits where it begins."""
    ends = [action.name for action in graph.actions if action.is_terminal]
    ways = [(each.source, each.target, each.condition) for each in graph.transitions]
    ways += [(name, graph.entrypoint, "default") for name in ends]
    return {
        "type": "application",
        "entrypoint": graph.entrypoint,
        "actions": [_action(each) for each in graph.actions],
        "transitions": [
            {"type": "transition", "from_": source, "to": target, "condition": condition}
            for source, target, condition in ways
        ],
    }


def _action(action: Action) -> Json:
    return {
        "type": "action",
        "name": action.name,
        "reads": list(action.reads),
        "writes": list(action.writes),
        "code": action.code,
        "inputs": list(action.inputs),
        "optional_inputs": list(action.optional_inputs),
    }


def step(row: Step, *, streams: bool, model: str, exception: str = "") -> Json:
    """
    Return what is known of a step, with the state as it was left.

    ``streams`` says whether it gives text as it goes, ``exception`` why it failed.
    """
    begin = {
        "type": "begin_entry",
        "start_time": at(row.started_at),
        "action": row.name,
        "inputs": dict(row.inputs),
        "sequence_id": row.sequence,
    }
    return {
        "step_start_log": begin,
        "step_end_log": _end(row, exception) if row.ended_at else None,
        "spans": _spans(row),
        "attributes": _attributes(row, model),
        "streaming_events": _streaming(row) if streams or row.deltas else [],
    }


def _end(row: Step, exception: str) -> Json:
    state = row.state_before if row.state_after is None else row.state_after
    return {
        "type": "end_entry",
        "end_time": at(row.ended_at),
        "action": row.name,
        "result": None if row.result is None else dict(row.result),
        "exception": exception or None,
        "state": {**state, "__SEQUENCE_ID": row.sequence, "__PRIOR_STEP": row.name},
        "sequence_id": row.sequence,
    }


def _spans(row: Step) -> list[Json]:
    """Return the calls of models as one span: what they used is known of all of them together."""
    if not row.usage:
        return []
    place = {"action_sequence_id": row.sequence, "span_id": _span_id(row)}
    begin = {
        "type": "begin_span",
        "start_time": at(row.started_at),
        **place,
        "span_name": "model",
        "parent_span_id": None,
        "span_dependencies": [],
    }
    end = {"type": "end_span", "end_time": at(row.ended_at), **place} if row.ended_at else None
    return [{"begin_entry": begin, "end_entry": end}]


def _span_id(row: Step) -> str:
    return f"{row.sequence}:0"


def _attributes(row: Step, model: str) -> list[Json]:
    """Return what models used, under the names that the page adds up."""
    if not row.usage:
        return []
    values = {
        "gen_ai.response.model": model.rpartition(":")[2],
        "gen_ai.usage.prompt_tokens": row.usage.get("input_tokens", 0),
        "gen_ai.usage.completion_tokens": row.usage.get("output_tokens", 0),
    }
    return [
        {
            "type": "attribute",
            "key": key,
            "action_sequence_id": row.sequence,
            "span_id": _span_id(row),
            "value": value,
            "tags": {},
            "time_logged": at(row.ended_at or row.started_at),
        }
        for key, value in values.items()
    ]


def _streaming(row: Step) -> list[Json]:
    place = {"action_sequence_id": row.sequence, "span_id": None}
    found = [{"type": "begin_stream", **place, "stream_init_time": at(row.started_at)}]
    if row.first_delta_at:
        first = {"first_item_time": at(row.first_delta_at)}
        found.append({"type": "first_item_stream", **place, **first})
    if row.ended_at:
        end = {"end_time": at(row.ended_at), "items_streamed": row.deltas}
        found.append({"type": "end_stream", **place, **end})
    return found


def pointer(app_id: str, sequence: int | None) -> Json:
    """Return what names a step of an application."""
    return {
        "type": "pointer_data",
        "app_id": app_id,
        "sequence_id": sequence,
        "partition_key": None,
    }


def child(app_id: str, *, forked_at: datetime, sequence: int | None) -> Json:
    """Return the link to an application that was forked here after a step."""
    return {
        "type": "child_application_data",
        "child": pointer(app_id, None),
        "event_time": at(forked_at),
        "event_type": "fork",
        "sequence_id": sequence,
    }


def logs(
    machine: Json, steps: Iterable[Json], *, children: Iterable[Json], parent: Json | None
) -> str:
    """Return all that is known of an application, encoded step by step."""
    rest = {"children": list(children), "parent_pointer": parent, "spawning_parent_pointer": None}
    encoded = ",".join(map(encode_json, steps))
    return f'{{"application":{encode_json(machine)},"steps":[{encoded}],{encode_json(rest)[1:]}'


def summary(
    app_id: str, *, created: datetime, updated: datetime, steps: int, parent: Json | None
) -> Json:
    return {
        "app_id": app_id,
        "partition_key": None,
        "first_written": at(created),
        "last_written": at(updated),
        "num_steps": steps,
        "tags": {},
        "parent_pointer": parent,
        "spawning_parent_pointer": None,
    }


def page(applications: Iterable[Json], *, total: int, has_another: bool) -> Json:
    return {
        "applications": list(applications),
        "total": total,
        "has_another_page": has_another,
    }


def project(
    name: str, *, created: datetime, updated: datetime, apps: int, address: str = ""
) -> Json:
    return {
        "name": name,
        "id": name,
        "created": at(created),
        "last_written": at(updated),
        "num_apps": apps,
        "uri": address,
    }


def at(moment: datetime | None) -> str | None:
    """Return a time as the page reads it: in UTC, and said to be."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
