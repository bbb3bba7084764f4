"""ChatGPT's export, read as values."""

from datetime import UTC, datetime

import pytest

from chat.errors import BadRequest
from chat.transfer.chatgpt import read_chatgpt
from chat.transfer.importing import read_thread

TIME = 1_700_000_000.5


def node(name, parent, role=None, *parts, kind="text", children=(), **message):
    content = {"content_type": kind, "parts": list(parts)} if kind else message.pop("content")
    told = {"author": {"role": role}, "create_time": TIME, "content": content} | message
    return name, {
        "id": name,
        "parent": parent,
        "children": list(children),
        "message": told if role else None,
    }


def conversation(*nodes, current=None, **fields):
    mapping = dict(nodes)
    return {
        "title": "Tea",
        "create_time": TIME,
        "update_time": TIME + 60,
        "conversation_id": "abc",
        "mapping": mapping,
        "current_node": current or next(reversed(mapping), None),
    } | fields


def said(thread):
    return [(turn.role, turn.text, turn.parent) for turn in thread.turns]


def test_a_simple_conversation():
    thread = read_chatgpt(
        conversation(
            node("root", None),
            node("s", "root", "system", ""),
            node("u", "s", "user", "Why?"),
            node("a", "u", "assistant", "Because.", metadata={"model_slug": "gpt-4o"}),
        )
    )
    assert said(thread) == [("user", "Why?", None), ("assistant", "Because.", 0)]
    assert thread.title == "Tea"
    assert thread.created_at == datetime.fromtimestamp(TIME, UTC)
    assert (thread.updated_at - thread.created_at).seconds == 60
    assert thread.turns[1].generation["model"] == "gpt-4o"
    assert thread.skipped == 0


def test_every_branch_is_kept_and_the_one_that_was_shown_comes_last():
    thread = read_chatgpt(
        conversation(
            node("root", None),
            node("u1", "root", "user", "one"),
            node("a1", "u1", "assistant", "shown"),
            node("a2", "u1", "assistant", "other"),
            node("u2", "a2", "user", "below the other"),
            current="a1",
        )
    )
    assert said(thread) == [
        ("user", "one", None),
        ("assistant", "other", 0),
        ("user", "below the other", 1),
        ("assistant", "shown", 0),
    ]


def test_what_is_no_text_is_counted_and_what_hangs_below_it_is_kept():
    thread = read_chatgpt(
        conversation(
            node("u", None, "user", {"asset_pointer": "file://x"}, "What is this?",
                 kind="multimodal_text"),
            node("c", "u", "assistant", kind=None, content={"content_type": "code", "text": "x()"},
                 recipient="python"),
            node("t", "c", "tool", kind=None,
                 content={"content_type": "execution_output", "text": "1"}),
            node("w", "t", "tool", "found on the web"),
            node("a", "w", "assistant", "A cat."),
            node("b", "a", "assistant", "A big one."),
            node("h", "b", "user", "hidden",
                 metadata={"is_visually_hidden_from_conversation": True}),
        )
    )  # fmt: skip
    assert said(thread) == [
        ("user", "What is this?", None),
        ("assistant", "A cat.\n\nA big one.", 0),
    ]
    assert thread.skipped == 4


def test_answers_are_not_joined_where_the_tree_branches():
    thread = read_chatgpt(
        conversation(
            node("u", None, "user", "Go"),
            node("a", "u", "assistant", "First."),
            node("b", "a", "assistant", "Then."),
            node("c", "a", "assistant", "Or then."),
        )
    )
    assert said(thread)[1:] == [
        ("assistant", "First.", 0),
        ("assistant", "Then.", 1),
        ("assistant", "Or then.", 1),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        conversation(),
        conversation(node("a", "b", "user", "x"), node("b", "a", "user", "y")),
        conversation(("a", None), ("b", 3), ("c", {"message": 7, "parent": []})),
        {"mapping": {}},
    ],
)
def test_without_any_text_it_is_refused(wrong):
    with pytest.raises(BadRequest, match="no text"):
        read_thread(wrong)


@pytest.mark.parametrize("item", [None, 3, "x", [], {}, {"messages": 3}, {"mapping": []}])
def test_what_has_no_known_form_is_refused(item):
    with pytest.raises(BadRequest, match="known here"):
        read_thread(item)


def test_strange_values_do_no_harm():
    thread = read_chatgpt(
        conversation(
            node("u", 7, "user", "\x00\ud800", None, 3, create_time="soon"),
            node("a", "u", "assistant", "x" * 300, create_time=1e300, metadata="none"),
            title=["x"],
            create_time=9e18,
            update_time=None,
            current={"a": 1},
        )
    )
    assert thread.turns[0].text == "��"
    assert thread.skipped == 2
    now = datetime.now(UTC)
    assert all(turn.created_at <= now for turn in thread.turns)


def test_a_deep_tree_needs_no_deep_stack():
    nodes = [node("0", None, "user", "x")]
    nodes += [node(f"{n}", f"{n - 1}", "user", "x") for n in range(1, 3000)]
    assert len(read_chatgpt(conversation(*nodes)).turns) == 3000
    nodes += [node(f"{n}", f"{n - 1}", "user", "x") for n in range(3000, 5000)]
    with pytest.raises(BadRequest, match="branch"):
        read_chatgpt(conversation(*nodes))
