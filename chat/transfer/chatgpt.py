"""ChatGPT's `conversations.json`: each conversation a mapping of nodes, a tree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chat.errors import BadRequest
from chat.text import clean_text
from chat.transfer.threads import MAX_MESSAGES, Thread, Turn, check_tree, moment, title_of

ROLES = {"user", "assistant", "system"}


def is_chatgpt(item: dict[str, Any]) -> bool:
    return isinstance(item.get("mapping"), dict)


def read_chatgpt(item: dict[str, Any]) -> Thread:
    """
    Return the conversation that an item of the file holds.

    Of its nodes only the texts that a person and the model said to each other
    are taken: pictures, files, what tools were told and answered, are counted as
    ``skipped``. Raise BadRequest.
    """
    tree = _Tree(item["mapping"], item.get("current_node"))
    created_at = moment(item.get("create_time"), datetime.now(UTC))
    walk = _Walk(tree, created_at)
    walk.take_all()
    check_tree(walk.turns)
    named = item.get("conversation_id") or item.get("id") or ""
    return Thread(
        source=f"chatgpt {named}",
        title=title_of(clean_text(str(item.get("title") or ""))),
        created_at=created_at,
        updated_at=moment(item.get("update_time"), created_at),
        archived=item.get("is_archived") is True,
        turns=walk.turns,
        skipped=walk.skipped,
    )


class _Tree:
    """The nodes below their parents, those of the branch that was shown last."""

    def __init__(self, mapping: dict[str, Any], current: Any) -> None:
        if len(mapping) > 4 * MAX_MESSAGES:
            raise BadRequest(f"It has {len(mapping)} nodes: too many.")
        self.nodes = {name: node for name, node in mapping.items() if isinstance(node, dict)}
        self.shown = self._path_to(current)
        self.children: dict[str | None, list[str]] = {}
        for name, node in self.nodes.items():
            self.children.setdefault(self._parent(node), []).append(name)
        for names in self.children.values():
            names.sort(key=lambda name: name in self.shown)

    def _parent(self, node: dict[str, Any]) -> str | None:
        parent = node.get("parent")
        return parent if isinstance(parent, str) and parent in self.nodes else None

    def _path_to(self, name: Any) -> set[str]:
        path: set[str] = set()
        while isinstance(name, str) and name in self.nodes and name not in path:
            path.add(name)
            name = self._parent(self.nodes[name])
        return path

    def walk(self) -> Iterator[tuple[str, str | None, bool]]:
        """Yield each node after its parent, with that, and whether it is that one's only child."""
        waiting: list[tuple[str, str | None]] = [
            (name, None) for name in reversed(self.children.get(None, []))
        ]
        while waiting:  # What leads in a circle has no root and is never reached.
            name, parent = waiting.pop()
            yield name, parent, len(self.children.get(parent, ())) == 1
            waiting += [(child, name) for child in reversed(self.children.get(name, []))]


@dataclass
class _Walk:
    """Takes the nodes of a tree as turns, in their order."""

    tree: _Tree
    time: datetime
    turns: list[Turn] = field(default_factory=list)
    skipped: int = 0
    # By node: the turn it became or hangs below, and whether nothing branched since then.
    places: dict[str | None, tuple[int | None, bool]] = field(default_factory=dict)

    def take_all(self) -> None:
        self.places[None] = (None, False)
        for name, parent, alone in self.tree.walk():
            above, is_unbranched = self.places[parent]
            turn = self._turn(self.tree.nodes[name].get("message"), above)
            if turn is None:
                self.places[name] = (above, is_unbranched and alone)
            elif above is not None and is_unbranched and alone and self._goes_on(above, turn):
                self.turns[above].text += f"\n\n{turn.text}"
                self.places[name] = (above, True)
            else:
                self.places[name] = (len(self.turns), True)
                self.turns.append(turn)

    def _goes_on(self, above: int, turn: Turn) -> bool:
        # An answer that was interrupted by a tool is one answer.
        return turn.role == self.turns[above].role == "assistant"

    def _turn(self, message: Any, above: int | None) -> Turn | None:
        if not isinstance(message, dict):
            return None  # A root: it holds nothing together but the tree.
        author, content = message.get("author"), message.get("content")
        role = author.get("role") if isinstance(author, dict) else None
        told = message.get("metadata")
        metadata: dict[str, Any] = told if isinstance(told, dict) else {}
        text = self._text(content if isinstance(content, dict) else {})
        if metadata.get("is_visually_hidden_from_conversation") or not text.strip():
            return None
        if role not in ROLES or message.get("recipient", "all") != "all":
            self.skipped += 1
            return None
        created_at = moment(message.get("create_time"), self.time)
        turn = Turn(role=role, text=text, parent=above, created_at=created_at)
        if role == "assistant":
            model = str(metadata.get("model_slug") or "chatgpt")[:200]
            turn.generation = {"model": model, "status": "done", "ended_at": created_at}
        return turn

    def _text(self, content: dict[str, Any]) -> str:
        parts = content.get("parts")
        if content.get("content_type") not in ("text", "multimodal_text"):
            self.skipped += bool(content.get("content_type")) and self._says_something(content)
            return ""
        parts = parts if isinstance(parts, list) else []
        self.skipped += sum(not isinstance(part, str) for part in parts)
        return clean_text("\n\n".join(part for part in parts if isinstance(part, str) and part))

    @staticmethod
    def _says_something(content: dict[str, Any]) -> bool:
        return any(value for name, value in content.items() if name != "content_type")
