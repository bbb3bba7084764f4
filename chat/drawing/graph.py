"""The picture of a state machine: its nodes, its transitions, and the way that was taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from chat.drawing.layers import Link
from chat.drawing.layout import Box, Layout, Point, Size, arrange
from chat.drawing.looks import dress
from chat.drawing.svg import element, markup, path, shorten, text_width

MAX_NODES = 120  # More are no picture any more; a list says the same.
MAX_EDGES = 400
NAME_CHARS, CONDITION_CHARS = 32, 36
NAME_SIZE, NOTE_SIZE, CONDITION_SIZE = 13.0, 11.0, 11.5
PADDING = 10.0
NODE_HEIGHT, INPUT_HEIGHT, CONDITION_HEIGHT = 46.0, 30.0, 18.0
ARROW = 7.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """``kind`` is "action", "stream" or "input"; ``note`` is its second line."""

    name: str
    label: str
    kind: str
    note: str = ""
    told: str = ""  # What a pointer that rests on it is told.
    is_visited: bool = False
    is_current: bool = False
    step: int | None = None  # What a click on it opens.


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    source: str
    target: str
    condition: str = ""
    is_taken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A graph to draw. ``description`` says in words what it shows."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    title: str
    description: str

    @property
    def is_too_large(self) -> bool:
        return len(self.nodes) > MAX_NODES or len(self.edges) > MAX_EDGES


def draw(picture: Picture, *, standalone: bool = False) -> str:
    """
    Return the markup: for a page that brings the looks, or ``standalone`` with its own.

    A picture that is too large is not to be drawn.
    """
    edges = _without_doubles(picture.edges)
    links: list[Link] = [(edge.source, edge.target) for edge in edges]
    sizes = {node.name: _node_size(node) for node in picture.nodes}
    labels = {place: _condition_size(edge) for place, edge in enumerate(edges) if edge.condition}
    layout = arrange(sizes, links, labels=labels)
    root = _root(picture, layout)
    # The way that was taken lies above the others.
    for place in sorted(range(len(edges)), key=lambda place: edges[place].is_taken):
        root.append(_edge(edges[place], layout.routes[place], layout.labels.get(place)))
    for node in picture.nodes:
        may_become_current = node.is_visited and not standalone
        root.append(_node(node, layout.nodes[node.name], marked=may_become_current))
    if standalone:
        dress(root)
    return markup(root)


def _root(picture: Picture, layout: Layout) -> Element:
    attributes: dict[str, object] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "class": "graph",
        "width": layout.width,
        "height": layout.height,
        "viewBox": f"0 0 {layout.width:.1f} {layout.height:.1f}",
        "role": "img",
        "aria_labelledby": "graph-title",
        "aria_describedby": "graph-description",
    }
    return element(
        "svg",
        attributes,
        element("title", {"id": "graph-title"}, picture.title),
        element("desc", {"id": "graph-description"}, picture.description),
    )


def _without_doubles(edges: Sequence[Edge]) -> list[Edge]:
    """Return one edge for all those from a node to itself."""
    kept: list[Edge] = []
    loops: dict[str, int] = {}
    for edge in edges:
        if edge.source != edge.target:
            kept.append(edge)
        elif (place := loops.get(edge.source)) is None:
            loops[edge.source] = len(kept)
            kept.append(edge)
        else:
            other = kept[place]
            kept[place] = Edge(
                source=edge.source,
                target=edge.target,
                condition=", ".join(filter(None, [other.condition, edge.condition])),
                is_taken=other.is_taken or edge.is_taken,
            )
    return kept


def _node_size(node: Node) -> Size:
    label = text_width(shorten(node.label, NAME_CHARS), size=NAME_SIZE)
    width = max(label, text_width(node.note, size=NOTE_SIZE)) + 2 * PADDING
    return width, NODE_HEIGHT if node.note else INPUT_HEIGHT


def _condition_size(edge: Edge) -> Size:
    text = shorten(edge.condition, CONDITION_CHARS)
    return text_width(text, size=CONDITION_SIZE) + 8, CONDITION_HEIGHT


def _node(node: Node, box: Box, *, marked: bool) -> Element:
    states = {"is-visited": node.is_visited, "is-current": node.is_current}
    names = ["node", f"node-{node.kind}", *(name for name, holds in states.items() if holds)]
    radius = box.height / 2 if node.kind == "input" else 9
    center = box.x + box.width / 2
    rise = 0.0 if not node.note else 7.5
    label = element(
        "text",
        {"class": "node-name", "x": center, "y": box.middle - rise + 4.5, "text_anchor": "middle"},
        shorten(node.label, NAME_CHARS),
    )
    note = element(
        "text",
        {"class": "node-note", "x": center, "y": box.middle + 14, "text_anchor": "middle"},
        node.note,
    )
    frame = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": radius}
    return element(
        "g",
        {"class": " ".join(names), "data-node": node.name, "data-step": node.step},
        element("title", {}, node.told or node.label),
        element("rect", {"class": "node-frame", **frame}),
        label,
        note if node.note else None,
        _mark(box) if marked or node.is_current else None,
    )


def _mark(box: Box) -> Element:
    """Return what marks the current node for those who do not see the colour."""
    place = {"cx": box.right - 3, "cy": box.y + 3, "r": 6.0}
    return element("circle", {"class": "node-mark", **place})


def _edge(edge: Edge, route: Sequence[Point], label: Box | None) -> Element:
    name = "edge is-taken" if edge.is_taken else "edge"
    condition: list[Element] = []
    if label is not None:
        text = shorten(edge.condition, CONDITION_CHARS)
        frame = {"x": label.x, "y": label.y, "width": label.width, "height": label.height}
        place = {"x": label.x + label.width / 2, "y": label.middle + 4, "text_anchor": "middle"}
        condition = [
            element("rect", {"class": "edge-ground", **frame, "rx": 4}),
            element("text", {"class": "edge-condition", **place}, text),
        ]
    told = f"{edge.source} → {edge.target}" + (f": {edge.condition}" if edge.condition else "")
    return element(
        "g",
        {"class": name},
        element("title", {}, told),
        element("path", {"class": "edge-line", "d": path(_shortened(route)), "fill": "none"}),
        element("path", {"class": "edge-head", "d": _head(route)}),
        *condition,
    )


def _direction(route: Sequence[Point]) -> Point:
    """Return the way in which an edge arrives: down from a loop, else from one of the sides."""
    x, y = route[-1]
    # A node as wide as its column has an edge that arrives with a line of no length.
    from_x, _ = next(p for p in reversed(route) if abs(p[0] - x) + abs(p[1] - y) > 0.01)
    if abs(from_x - x) < 0.01:
        return 0.0, 1.0
    return (1.0 if x > from_x else -1.0), 0.0


def _shortened(route: Sequence[Point]) -> list[Point]:
    """Return a route that ends at the foot of its arrow's head."""
    (dx, dy), (x, y) = _direction(route), route[-1]
    foot = (x - dx * ARROW, y - dy * ARROW)
    *rest, (before_x, before_y), _ = route
    # Else a line of no length would go back.
    is_past = (before_x - foot[0]) * dx + (before_y - foot[1]) * dy > 0
    return [*rest, foot if is_past else (before_x, before_y), foot]


def _head(route: Sequence[Point]) -> str:
    (dx, dy), (x, y) = _direction(route), route[-1]
    back_x, back_y = x - dx * ARROW * 1.3, y - dy * ARROW * 1.3
    side_x, side_y = -dy * ARROW * 0.55, dx * ARROW * 0.55
    corners = [(x, y), (back_x + side_x, back_y + side_y), (back_x - side_x, back_y - side_y)]
    return "M" + "L".join(f"{cx:.1f} {cy:.1f}" for cx, cy in corners) + "Z"
