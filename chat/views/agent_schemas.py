"""Agents and their steps, as objects of the HTTP API."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema

from chat import models
from chat.agents import registry


class Action(Schema):
    name: str
    kind: Literal["action", "stream"]
    reads: list[str]
    writes: list[str]
    inputs: list[str]
    optional_inputs: list[str]
    terminal: bool


class Transition(Schema):
    source: str
    target: str
    condition: str


class Graph(Schema):
    entrypoint: str
    actions: list[Action]
    transitions: list[Transition]


class Agent(Schema):
    name: str
    description: str
    graph: Graph


class Agents(Schema):
    items: list[Agent]


class Step(Schema):
    id: UUID | None
    generation: UUID
    sequence: int
    name: str
    status: Literal["started", "done", "failed"]
    inputs: dict[str, Any]
    state_before: dict[str, Any]
    state_after: dict[str, Any] | None
    result: dict[str, Any] | None
    error: str
    started_at: datetime
    first_delta_at: datetime | None
    ended_at: datetime | None
    deltas: int
    usage: dict[str, int] | None


class Steps(Schema):
    items: list[Step]


def as_agent(agent: registry.Agent) -> dict[str, Any]:
    graph = agent.graph
    fields = ("name", "kind", "reads", "writes", "inputs", "optional_inputs")
    actions = [
        {name: getattr(action, name) for name in fields} | {"terminal": action.is_terminal}
        for action in graph.actions
    ]
    return {
        "name": agent.name,
        "description": agent.description,
        "graph": {
            "entrypoint": graph.entrypoint,
            "actions": actions,
            "transitions": [asdict(transition) for transition in graph.transitions],
        },
    }


def as_step(step: models.Step, *, with_traceback: bool) -> dict[str, Any]:
    names = [name for name in Step.model_fields if name not in {"generation", "error"}]
    return {
        "generation": step.generation_id,
        "error": step.error if with_traceback else "",
        **{name: getattr(step, name) for name in names},
    }
