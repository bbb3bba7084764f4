"""What an application of Burr's clients has done, and what people note about it."""

import asyncio
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Count, Max
from django.utils import timezone

from chat.agents.graph import Action, Graph
from chat.agents.plain import as_plain
from chat.agents.registry import load_agent
from chat.chain import stream_answer
from chat.errors import NotFound, UnknownAgent
from chat.generations.steps import ANSWER, steps_in
from chat.models import Annotation, Conversation, Generation, Step
from chat.views import burr_apps
from chat.views.burr_apps import NO_PARTITION, App, Json
from chat.wire import burr_tracking
from chat.wire.burr_requests import AnnotationCreate, AnnotationFilter

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that the database has of an application."""

    agent: str
    steps: Sequence[Step]
    children: Sequence[Json]
    parent: Json | None


def fingerprint(user: "AbstractBaseUser", app: App) -> str:
    """
    Return what changes whenever an application's record does. A unit of database work.

    The page asks for all of it twice a second. Raise NotFound.
    """
    conversation = _find(user, app)
    here = conversation.generations.order_by()
    marks: dict[str, Any] = {
        "agent": conversation.agent,
        "updated": conversation.updated_at,
        **here.aggregate(answers=Count("pk"), ended=Max("ended_at"), begun=Max("started_at")),
        **Step.objects.filter(generation__in=here).aggregate(
            steps=Count("pk"), step_begun=Max("started_at"), step_ended=Max("ended_at")
        ),
        **Conversation.objects.alive()
        .filter(forked_from__conversation=conversation)
        .aggregate(forks=Count("pk"), forked=Max("created_at")),
    }
    told = [each.isoformat() if isinstance(each, datetime) else each for each in marks.values()]
    return "|".join(map(str, [user.pk, conversation.pk, *told]))


def read(user: "AbstractBaseUser", app: App) -> Record:
    """Return the record of an application. A unit of database work. Raise NotFound."""
    conversation = _find(user, app)
    steps = steps_in(conversation)
    return Record(
        agent=conversation.agent or (steps[-1].generation.agent if steps else ""),
        steps=steps,
        children=burr_apps.children_of(conversation),
        parent=burr_apps.parent_of(conversation),
    )


async def encode(record: Record, *, with_traceback: bool) -> str:
    """Return a record as Burr's page reads it, with the state machine that it followed."""
    graph = await _graph_of(record)
    # Aside, and step by step: with all that was said in the state of each, they can be large.
    return await asyncio.to_thread(_encode, record, graph, with_traceback=with_traceback)


def _encode(record: Record, graph: Graph, *, with_traceback: bool) -> str:
    streaming = {action.name for action in graph.actions if action.kind == "stream"}
    steps = (
        burr_tracking.step(
            step,
            streams=step.name in streaming,
            model=step.generation.model,
            exception=_exception(step, with_traceback=with_traceback),
        )
        for step in record.steps
    )
    machine = burr_tracking.application(graph)
    return burr_tracking.logs(machine, steps, children=record.children, parent=record.parent)


async def _graph_of(record: Record) -> Graph:
    """Return the agent's graph, with what else was done: agents come and go, steps stay."""
    graph = await _graph_named(record.agent)
    known = {action.name for action in graph.actions}
    others = dict.fromkeys(step.name for step in record.steps if step.name not in known)
    return replace(graph, actions=(*graph.actions, *map(_bare, others)))


async def _graph_named(agent: str) -> Graph:
    if agent:
        try:
            return (await load_agent(agent)).graph
        except (UnknownAgent, ImproperlyConfigured):
            return Graph(entrypoint="", actions=(), transitions=())
    answer = replace(
        _bare(ANSWER),
        kind="stream",
        reads=("chat_history",),
        writes=("prompt", "chat_history", "response"),
        inputs=("prompt",),
        code=inspect.getsource(stream_answer),
        is_terminal=True,
    )
    return Graph(entrypoint=ANSWER, actions=(answer,), transitions=())


def _bare(name: str) -> Action:
    return Action(
        name=name,
        kind="action",
        reads=(),
        writes=(),
        inputs=(),
        optional_inputs=(),
        code="",
        is_terminal=False,
        is_declared=False,
    )


def _exception(step: Step, *, with_traceback: bool) -> str:
    """Return why a step failed: its owner is told what the answer's error says."""
    if step.status != Step.Status.FAILED:
        return ""
    if with_traceback and step.error:
        return step.error
    error = step.generation.error
    status = Generation.Status(step.generation.status)
    return f"{error['code']}: {error['message']}" if error else str(status.label)


def annotate(user: "AbstractBaseUser", app: App, sequence: int, form: AnnotationCreate) -> Json:
    """Save an annotation of a step. A unit of database work. Raise NotFound."""
    steps = Step.objects.owned_by(user).select_related("generation__conversation")
    step = steps.filter(generation__conversation=_find(user, app), sequence=sequence).first()
    if step is None:
        raise NotFound("There is no such step, or it is a plain answer's.")
    row = Annotation.objects.create(step=step, **_fields(form))
    return _annotation(row, app.project)


def change_annotation(
    user: "AbstractBaseUser", project: str, annotation_id: int, form: AnnotationCreate
) -> Json:
    """Replace what an annotation says. A unit of database work. Raise NotFound."""
    row = _annotations(user, project).filter(pk=annotation_id).first()
    if row is None:
        raise NotFound
    for name, value in _fields(form).items():
        setattr(row, name, value)
    row.updated_at = timezone.now()
    row.save()
    return _annotation(row, project)


def list_annotations(
    user: "AbstractBaseUser", project: str, wanted: AnnotationFilter
) -> list[Json]:
    """Return the annotations of a project, oldest first. A unit of database work."""
    rows = _annotations(user, project)
    if wanted.app_id is not None:
        conversation = burr_apps.find(user, App(project, wanted.app_id))
        rows = rows.filter(step__generation__conversation=conversation)
    if wanted.step_sequence_id is not None:
        rows = rows.filter(step__sequence=wanted.step_sequence_id)
    if (wanted.partition_key or "") not in NO_PARTITION:
        rows = rows.none()
    return [_annotation(row, project) for row in rows]


def _annotations(user: "AbstractBaseUser", project: str) -> Any:
    here = burr_apps.in_project(user, project).order_by()
    rows = Annotation.objects.owned_by(user).filter(step__generation__conversation__in=here)
    states = (f"step__{name}" for name in ("inputs", "state_before", "state_after", "result"))
    return rows.select_related("step__generation__conversation").defer(*states)


def _fields(form: AnnotationCreate) -> Json:
    said = as_plain(form.model_dump())
    return {
        "span_id": said["span_id"] or "",
        "tags": said["tags"],
        "observations": said["observations"],
    }


def _annotation(row: Annotation, project: str) -> Json:
    return {
        "id": row.pk,
        "project_id": project,
        "app_id": burr_apps.name_of(row.step.generation.conversation),
        "partition_key": None,
        "step_sequence_id": row.step.sequence,
        "step_name": row.step.name,
        "span_id": row.span_id or None,
        "tags": row.tags,
        "observations": row.observations,
        "created": burr_tracking.at(row.created_at),
        "updated": burr_tracking.at(row.updated_at),
    }


def _find(user: "AbstractBaseUser", app: App) -> Conversation:
    conversation = burr_apps.find(user, app)
    if conversation is None:
        raise NotFound(f"App: {app.id} from project: {app.project} not found")
    return conversation
