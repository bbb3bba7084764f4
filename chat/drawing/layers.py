"""A directed graph cut into layers: every edge becomes a chain that crosses them one by one."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

Link = tuple[str, str]


class Kind(Enum):
    NODE = "node"
    LABEL = "label"  # Where an edge's condition is written.
    BEND = "bend"  # Where an edge passes a layer.


@dataclass(frozen=True, slots=True)
class Vertex:
    """Something that takes up room in a layer: a node by its name, or a part of an edge."""

    kind: Kind
    key: Hashable
    layer: int


@dataclass(slots=True)
class Layered:
    """
    Nodes stand in the even layers, what is written on edges in the odd ones.

    ``chains`` holds, for each edge by its place, the vertices it runs through
    from the lower layer to the higher one; None for an edge from a node to itself.
    """

    layers: list[list[Vertex]]
    chains: list[list[Vertex] | None]
    backward: frozenset[int] = field(default_factory=frozenset)  # Edges that lead to a lower layer.

    def neighbours(self) -> tuple[dict[Vertex, list[Vertex]], dict[Vertex, list[Vertex]]]:
        """Return what stands before and after each vertex."""
        before: dict[Vertex, list[Vertex]] = {v: [] for layer in self.layers for v in layer}
        after: dict[Vertex, list[Vertex]] = {v: [] for layer in self.layers for v in layer}
        for chain in self.chains:
            for left, right in pairwise(chain or ()):
                after[left].append(right)
                before[right].append(left)
        return before, after


def cut(names: Sequence[str], links: Sequence[Link], *, labelled: Iterable[int] = ()) -> Layered:
    """Return the layers of a graph whose edges lead between ``names``."""
    backward = _backward(names, links)
    forward = [
        (target, source) if place in backward else (source, target)
        for place, (source, target) in enumerate(links)
    ]
    ranks = _ranks(names, [link for link in forward if link[0] != link[1]])
    nodes = {name: Vertex(Kind.NODE, name, 2 * ranks[name]) for name in names}
    height = max((vertex.layer for vertex in nodes.values()), default=-1) + 1
    layers: list[list[Vertex]] = [[] for _ in range(height)]
    for vertex in nodes.values():
        layers[vertex.layer].append(vertex)
    written = frozenset(labelled)
    chains: list[list[Vertex] | None] = []
    for place, (source, target) in enumerate(forward):
        if source == target:
            chains.append(None)
            continue
        passed = _passed(place, nodes[source], nodes[target], has_label=place in written)
        for vertex in passed:
            layers[vertex.layer].append(vertex)
        chains.append([nodes[source], *passed, nodes[target]])
    return Layered(layers, chains, backward)


def _passed(place: int, source: Vertex, target: Vertex, *, has_label: bool) -> list[Vertex]:
    # A condition is written where the edge arrives: those of one node's edges then keep apart.
    label_layer = target.layer - 1 if has_label else None
    return [
        Vertex(Kind.LABEL if layer == label_layer else Kind.BEND, place, layer)
        for layer in range(source.layer + 1, target.layer)
    ]


def _backward(names: Sequence[str], links: Sequence[Link]) -> frozenset[int]:
    """Return the edges to turn round so that no circle is left."""
    leaving: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for place, (source, target) in enumerate(links):
        leaving[source].append((place, target))
    backward: set[int] = set()
    state: dict[str, bool] = {}  # True while the search is below a node.
    for root in names:
        if root in state:
            continue
        state[root] = True
        path = [(root, iter(leaving[root]))]
        while path:
            name, rest = path[-1]
            for place, target in rest:
                if target not in state:
                    state[target] = True
                    path.append((target, iter(leaving[target])))
                    break
                if state[target] and target != name:
                    backward.add(place)
            else:
                state[name] = False
                path.pop()
    return frozenset(backward)


def _ranks(names: Sequence[str], links: Sequence[Link]) -> dict[str, int]:
    """Return the length of the longest way to each node; a source stands close to its targets."""
    leaving: dict[str, list[str]] = {name: [] for name in names}
    missing = dict.fromkeys(names, 0)
    for source, target in links:
        leaving[source].append(target)
        missing[target] += 1
    sources = [name for name in names if not missing[name]]
    ranks = dict.fromkeys(names, 0)
    ready = list(sources)
    while ready:
        name = ready.pop()
        for target in leaving[name]:
            ranks[target] = max(ranks[target], ranks[name] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    for name in sources:
        if leaving[name]:
            ranks[name] = min(ranks[target] for target in leaving[name]) - 1
    return ranks
