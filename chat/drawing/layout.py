"""
A layered layout, from left to right: where nodes, edges and what is written on them stand.

Layers become columns. What is in one column never overlaps, and an edge crosses
a column only at a height of its own, so no edge runs through a node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chat.drawing.layers import Kind, Layered, Link, Vertex, cut
from chat.drawing.order import put_in_order

COLUMN_GAP = 20.0  # Between two columns: room for an edge to bend.
ROW_GAP = 16.0
MARGIN = 6.0
LOOP_ROOM = 36.0  # Above a node, for an edge from it to itself.
SWEEPS = 12
LOOP_HEIGHT = 14.0
STRAIGHT = 4.0  # How much more it counts that a long edge is straight.

Size = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """
    ``routes`` and ``labels`` are by the place of the edge.

    A route begins on the edge of its source's box and ends on that of its
    target's. Its points are joined in turn by a straight line and a bend.
    """

    width: float
    height: float
    nodes: Mapping[str, Box]
    labels: Mapping[int, Box]
    routes: Sequence[Sequence[Point]]


def arrange(
    nodes: Mapping[str, Size], links: Sequence[Link], *, labels: Mapping[int, Size] | None = None
) -> Layout:
    """
    Return the layout of nodes by their sizes; ``labels`` are sizes by the place of an edge.

    Of the edges from a node to itself one at most may have a label.
    """
    layered = cut(list(nodes), links, labelled=labels or {})
    put_in_order(layered)
    return _Placing(layered, links, nodes, labels or {}).layout()


class _Placing:
    def __init__(
        self,
        layered: Layered,
        links: Sequence[Link],
        nodes: Mapping[str, Size],
        labels: Mapping[int, Size],
    ) -> None:
        self.layered = layered
        self.links = links
        self.nodes = nodes
        self.labels = labels
        self.loops = {source: place for place, (source, end) in enumerate(links) if source == end}
        self.room = {vertex: self._room(vertex) for layer in layered.layers for vertex in layer}
        self.columns = self._columns()
        self.middles = self._middles()

    def _room(self, vertex: Vertex) -> Size:
        if vertex.kind is Kind.BEND:
            return 0.0, 0.0
        if vertex.kind is Kind.LABEL:
            return self.labels[vertex.key]  # type: ignore[index]
        width, height = self.nodes[vertex.key]  # type: ignore[index]
        if vertex.key not in self.loops:
            return width, height
        label = self.labels.get(self.loops[str(vertex.key)], (0.0, 0.0))
        return max(width, label[0]), height + 2 * LOOP_ROOM

    def _columns(self) -> list[tuple[float, float]]:
        """Return where each layer begins and ends."""
        columns, x = [], MARGIN
        for layer in self.layered.layers:
            width = max((self.room[vertex][0] for vertex in layer), default=0.0)
            columns.append((x, x + width))
            x += width + COLUMN_GAP
        return columns

    def _middles(self) -> dict[Vertex, float]:
        """Return the height of each vertex: near its neighbours, in order, without overlaps."""
        before, after = self.layered.neighbours()
        layers = self.layered.layers
        middles: dict[Vertex, float] = {}
        for layer in layers:
            middles.update(zip(layer, self._apart(layer, [0.0] * len(layer)), strict=True))
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            neighbours = before if down else after
            for layer in layers if down else reversed(layers):
                wanted = [
                    _mean([middles[other] for other in neighbours[vertex]], middles[vertex])
                    for vertex in layer
                ]
                middles.update(zip(layer, self._apart(layer, wanted), strict=True))
        tops = (middle - self.room[vertex][1] / 2 for vertex, middle in middles.items())
        shift = MARGIN - min(tops, default=0.0)
        return {vertex: middle + shift for vertex, middle in middles.items()}

    def _apart(self, layer: Sequence[Vertex], wanted: Sequence[float]) -> list[float]:
        """
        Return the heights nearest to those wanted that keep the order and the gaps.

        Less the room that all before it need, heights need only not decrease:
        neighbours that would are pooled at their mean, which is the nearest by least squares.
        """
        offsets, room = [], 0.0
        for place, vertex in enumerate(layer):
            if place:
                room += (self.room[layer[place - 1]][1] + self.room[vertex][1]) / 2 + ROW_GAP
            offsets.append(room)
        pools: list[tuple[float, float, int]] = []  # Mean, weight, how many.
        for vertex, want, offset in zip(layer, wanted, offsets, strict=True):
            weight = STRAIGHT if vertex.kind is Kind.BEND else 1.0
            mean, count = want - offset, 1
            while pools and pools[-1][0] > mean:
                other, more, many = pools.pop()
                mean = (mean * weight + other * more) / (weight + more)
                weight, count = weight + more, count + many
            pools.append((mean, weight, count))
        means = [mean for mean, _, count in pools for _ in range(count)]
        return [mean + offset for mean, offset in zip(means, offsets, strict=True)]

    def layout(self) -> Layout:
        boxes = {vertex: self._box(vertex) for vertex in self.room}
        nodes = {str(v.key): box for v, box in boxes.items() if v.kind is Kind.NODE}
        written = {v.key: box for v, box in boxes.items() if v.kind is Kind.LABEL}
        for name, place in self.loops.items():
            if place in self.labels:
                written[place] = _above(nodes[name], self.labels[place])
        bottoms = (self.middles[vertex] + room[1] / 2 for vertex, room in self.room.items())
        return Layout(
            width=max((end for _, end in self.columns), default=0.0) + MARGIN,
            height=max(bottoms, default=0.0) + MARGIN,
            nodes=nodes,
            labels=written,  # type: ignore[arg-type]
            routes=[self._route(place, boxes, nodes) for place in range(len(self.links))],
        )

    def _box(self, vertex: Vertex) -> Box:
        begin, end = self.columns[vertex.layer]
        is_node = vertex.kind is Kind.NODE
        width, height = self.nodes[vertex.key] if is_node else self.room[vertex]  # type: ignore[index]
        x, y = (begin + end - width) / 2, self.middles[vertex] - height / 2
        return Box(x=x, y=y, width=width, height=height)

    def _route(
        self, place: int, boxes: Mapping[Vertex, Box], nodes: Mapping[str, Box]
    ) -> list[Point]:
        chain = self.layered.chains[place]
        if chain is None:
            return _loop(nodes[self.links[place][0]])
        first, *passed, last = chain
        points = [(boxes[first].right, boxes[first].middle)]
        points.append((self.columns[first.layer][1], boxes[first].middle))
        for vertex in passed:
            begin, end = self.columns[vertex.layer]
            points += [(begin, self.middles[vertex]), (end, self.middles[vertex])]
        points.append((self.columns[last.layer][0], boxes[last].middle))
        points.append((boxes[last].x, boxes[last].middle))
        return points[::-1] if place in self.layered.backward else points


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _loop(box: Box) -> list[Point]:
    left, right, top = box.x + box.width / 3, box.x + box.width * 2 / 3, box.y - LOOP_HEIGHT
    return [(left, box.y), (left, top), (right, top), (right, box.y)]


def _above(box: Box, size: Size) -> Box:
    width, height = size
    y = box.y - LOOP_HEIGHT - height - 1
    return Box(x=box.x + (box.width - width) / 2, y=y, width=width, height=height)
