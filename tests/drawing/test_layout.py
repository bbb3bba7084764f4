from itertools import combinations, pairwise

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.drawing.layers import Kind, cut
from chat.drawing.layout import Box, Layout, arrange
from chat.drawing.order import _crossings, put_in_order

NEARLY = 0.001


@st.composite
def graphs(draw):
    """Names with sizes, edges of any kind between them, and sizes of what is written on some."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 9)))]
    lengths = st.integers(20, 200).map(float)
    nodes = {name: (draw(lengths), draw(st.sampled_from([30.0, 46.0]))) for name in names}
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names))
    links = draw(st.lists(pairs, max_size=16))
    loops = set()
    kept = []
    for link in links:
        if link[0] != link[1] or link[0] not in loops:
            kept.append(link)
        loops |= {link[0]} if link[0] == link[1] else set()
    labels = {place: (draw(lengths), 18.0) for place in range(len(kept)) if draw(st.booleans())}
    return nodes, kept, labels


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.right - NEARLY
        and other.x < one.right - NEARLY
        and one.y < other.y + other.height - NEARLY
        and other.y < one.y + one.height - NEARLY
    )


def touches(point: tuple[float, float], box: Box) -> bool:
    """Whether a point lies on the border of a box."""
    x, y = point
    on_side = min(abs(x - box.x), abs(x - box.right)) < NEARLY
    on_end = min(abs(y - box.y), abs(y - box.y - box.height)) < NEARLY
    is_beside = box.x - NEARLY <= x <= box.right + NEARLY
    return (on_side and box.y <= y <= box.y + box.height) or (on_end and is_beside)


def along(route) -> list[tuple[float, float]]:
    """Return points close to each other on a route, drawn as `svg.path()` draws it."""
    points = []
    for place, ((x, y), (to_x, to_y)) in enumerate(pairwise(route)):
        for step in range(21):
            t = step / 20
            if place % 2 == 0:
                points.append((x + (to_x - x) * t, y + (to_y - y) * t))
            else:  # The control points stand in the middle, at the heights of the ends.
                half = (x + to_x) / 2
                bend = 3 * half * t * (1 - t) + x * (1 - t) ** 3 + to_x * t**3
                rise = y * ((1 - t) ** 3 + 3 * t * (1 - t) ** 2)
                points.append((bend, rise + to_y * (t**3 + 3 * t**2 * (1 - t))))
    return points


def is_inside(point: tuple[float, float], box: Box) -> bool:
    x, y = point
    return box.x + 1 < x < box.right - 1 and box.y + 1 < y < box.y + box.height - 1


def is_within(box: Box, layout: Layout) -> bool:
    return (
        box.x >= 0
        and box.y >= 0
        and box.right <= layout.width
        and box.y + box.height <= layout.height
    )


class LayoutTests(SimpleTestCase):
    @given(graphs())
    @settings(max_examples=40)
    def test_nothing_overlaps_and_all_is_within_the_picture(self, graph) -> None:
        nodes, links, labels = graph
        layout = arrange(nodes, links, labels=labels)
        assert layout.nodes.keys() == nodes.keys()
        assert layout.labels.keys() == labels.keys()
        boxes = [*layout.nodes.values(), *layout.labels.values()]
        assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
        assert all(is_within(box, layout) for box in boxes)
        for name, box in layout.nodes.items():
            assert (box.width, box.height) == nodes[name]

    @given(graphs())
    @settings(max_examples=40)
    def test_edges_begin_and_end_at_their_nodes(self, graph) -> None:
        nodes, links, labels = graph
        layout = arrange(nodes, links, labels=labels)
        for (source, target), route in zip(links, layout.routes, strict=True):
            assert touches(route[0], layout.nodes[source])
            assert touches(route[-1], layout.nodes[target])

    @given(graphs())
    @settings(max_examples=40)
    def test_no_edge_runs_through_a_node(self, graph) -> None:
        nodes, links, labels = graph
        layout = arrange(nodes, links, labels=labels)
        for route in layout.routes:
            points = along(route)
            assert not [box for box in layout.nodes.values() for p in points if is_inside(p, box)]

    @given(graphs())
    @settings(max_examples=40)
    def test_edges_run_through_what_is_written_on_them(self, graph) -> None:
        nodes, links, labels = graph
        layout = arrange(nodes, links, labels=labels)
        for place in labels:
            source, target = links[place]
            if source != target:
                points = along(layout.routes[place])
                assert any(is_inside(point, layout.labels[place]) for point in points)

    @given(graphs())
    @settings(max_examples=40)
    def test_every_edge_crosses_the_layers_one_by_one(self, graph) -> None:
        nodes, links, labels = graph
        layered = cut(list(nodes), links, labelled=labels)
        for place, chain in enumerate(layered.chains):
            source, target = links[place]
            if chain is None:
                assert source == target
                continue
            first = chain[0].layer
            assert [vertex.layer for vertex in chain] == list(range(first, first + len(chain)))
            ends = (chain[0].key, chain[-1].key)
            assert ends == ((target, source) if place in layered.backward else (source, target))
        layers = {v.layer % 2 for layer in layered.layers for v in layer if v.kind is Kind.NODE}
        assert layers == {0}

    @given(graphs())
    @settings(max_examples=40)
    def test_putting_in_order_adds_no_crossings(self, graph) -> None:
        nodes, links, labels = graph
        layered = cut(list(nodes), links, labelled=labels)
        _, after = layered.neighbours()
        before = _crossings(layered.layers, after)
        put_in_order(layered)
        assert _crossings(layered.layers, after) <= before

    def test_two_edges_that_cross_are_untangled(self) -> None:
        nodes = dict.fromkeys("abcd", (40.0, 30.0))
        layout = arrange(nodes, [("a", "d"), ("b", "c")])
        boxes = layout.nodes
        assert (boxes["a"].y < boxes["b"].y) == (boxes["d"].y < boxes["c"].y)

    def test_a_chain_is_straight(self) -> None:
        nodes = dict.fromkeys("abcd", (40.0, 30.0))
        layout = arrange(nodes, [("a", "b"), ("b", "c"), ("c", "d")])
        assert len({round(box.middle, 3) for box in layout.nodes.values()}) == 1
        assert [box.x for box in layout.nodes.values()] == sorted(
            box.x for box in layout.nodes.values()
        )

    def test_without_nodes_there_is_an_empty_picture(self) -> None:
        layout = arrange({}, [])
        assert not layout.nodes
        assert layout.width > 0
