"""Graphs of somebody else's, as a site's settings would name them."""

import operator
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph

from chat.llm.registry import get_chat_model


class Asked(TypedDict, total=False):
    prompt: str
    history: list[dict[str, str]]
    greeting: str
    seen: Annotated[list[str], operator.add]


def greeter(*, greeting: str = "Hello"):
    """
    Says how often it was asked.

    By ``custom`` events.
    """

    async def choose(state: Asked):
        return {"greeting": greeting, "seen": ["choose"]}

    async def greet(state: Asked):
        write = get_stream_writer()
        write(f"{state['greeting']}, ")
        write({"text": f"{state['prompt']}! ({len(state['history'])})"})
        write({"progress": 1})
        return {"seen": ["greet"]}

    graph = StateGraph(Asked)
    graph.add_node("choose", choose)
    graph.add_node("greet", greet)
    graph.add_edge(START, "choose")
    graph.add_edge("choose", "greet")
    graph.add_edge("greet", END)
    return graph.compile()


def speaker():
    """Thinks aloud before it answers, by ``messages``: only the last one's words are the answer."""

    async def think(state: MessagesState):
        model = GenericFakeChatModel(messages=iter([AIMessage("Let me think.")]))
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def speak(state: MessagesState, runtime: Any):
        model = get_chat_model(runtime.context.model)
        return {"messages": [await model.ainvoke(state["messages"][:1])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("speak", speak)
    graph.add_edge(START, "think")
    graph.add_edge("think", "speak")
    graph.add_edge("speak", END)
    return graph.compile()


def pair():
    """Two actions at a time."""

    async def left(state: Asked):
        return {"seen": ["left"]}

    async def right(state: Asked):
        return {"seen": ["right"]}

    async def last(state: Asked):
        get_stream_writer()("+".join(sorted(state["seen"])))

    graph = StateGraph(Asked)
    for name, action in {"left": left, "right": right, "last": last}.items():
        graph.add_node(name, action)
    graph.add_edge(START, "left")
    graph.add_edge(START, "right")
    graph.add_edge(["left", "right"], "last")
    graph.add_edge("last", END)
    return graph.compile()


def broken():
    """Fails in its own way, with a key in its words."""

    async def fail(state: Asked):
        raise KeyError("sk-verysecret1234")

    graph = StateGraph(Asked)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    graph.add_edge("fail", END)
    return graph.compile()


def deaf():
    """Takes nothing of what is asked."""

    class Nothing(TypedDict):
        other: str

    graph = StateGraph(Nothing)
    graph.add_node("idle", lambda state: {"other": ""})
    graph.add_edge(START, "idle")
    graph.add_edge("idle", END)
    return graph.compile()


def no_graph():
    """Is none."""
    return object()
