"""The order of the vertices within each layer, so that few edges cross."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from chat.drawing.layers import Layered, Vertex

SWEEPS = 8
Neighbours = Mapping[Vertex, Sequence[Vertex]]


def put_in_order(layered: Layered) -> None:
    """Sort each layer. What the edges say nothing of stays in the order it came in."""
    before, after = layered.neighbours()
    layers = layered.layers
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        indexes = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for index in indexes:
            fixed = layers[index - 1 if down else index + 1]
            _sort(layers[index], fixed, before if down else after)
        crossings = _crossings(layers, after)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layered.layers[:] = best


def _sort(layer: list[Vertex], fixed: Sequence[Vertex], neighbours: Neighbours) -> None:
    places = {vertex: place for place, vertex in enumerate(fixed)}
    weights: dict[Vertex, float] = {}
    for place, vertex in enumerate(layer):
        found = [places[other] for other in neighbours[vertex]]
        weights[vertex] = sum(found) / len(found) if found else place
    layer.sort(key=weights.__getitem__)


def _crossings(layers: Sequence[Sequence[Vertex]], after: Neighbours) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        places = {vertex: place for place, vertex in enumerate(lower)}
        ends: list[int] = []  # Of the edges so far, those that begin at the same vertex last.
        for vertex in upper:
            mine = [places[other] for other in after[vertex]]
            count += sum(end > place for end in ends for place in mine)
            ends += mine
    return count
