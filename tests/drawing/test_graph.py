from itertools import pairwise
from xml.etree import ElementTree

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.drawing.graph import MAX_NODES, Edge, Node, Picture, draw

SVG = "{http://www.w3.org/2000/svg}"
any_text = st.text(st.characters(exclude_categories=[]), max_size=50)


def picture(**fields) -> Picture:
    nodes = [
        Node(name="in", label="prompt", kind="input", is_visited=True),
        Node(name="a", label="ask", kind="action", note="action", is_visited=True, step=0),
        Node(name="b", label="say", kind="stream", note="streaming", is_visited=True,
             is_current=True, step=1),
        Node(name="c", label="refuse", kind="stream", note="streaming"),
    ]  # fmt: skip
    edges = [
        Edge(source="in", target="a", is_taken=True),
        Edge(source="a", target="b", condition="safe=True", is_taken=True),
        Edge(source="a", target="c", condition="default"),
        Edge(source="b", target="b", condition="again"),
        Edge(source="b", target="b", condition="once more"),
    ]
    return Picture(
        **{"nodes": nodes, "edges": edges, "title": "A graph", "description": "Words"} | fields
    )


def parsed(**fields):
    return ElementTree.fromstring(draw(picture(**fields)))


class GraphTests(SimpleTestCase):
    def test_it_is_named_and_described(self) -> None:
        root = parsed()
        title, description = root[0], root[1]
        assert (title.tag, title.text) == (f"{SVG}title", "A graph")
        assert (description.tag, description.text) == (f"{SVG}desc", "Words")
        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == title.get("id")
        assert root.get("aria-describedby") == description.get("id")

    def test_states_of_nodes_and_edges_are_classes(self) -> None:
        groups = {g.get("data-node"): g for g in parsed().iter(f"{SVG}g") if g.get("data-node")}
        assert groups["b"].get("class", "").split() == [
            "node", "node-stream", "is-visited", "is-current",
        ]  # fmt: skip
        assert groups["c"].get("class") == "node node-stream"
        assert groups["b"].get("data-step") == "1"
        taken = [g for g in parsed().iter(f"{SVG}g") if g.get("class") == "edge is-taken"]
        assert [edge[0].text for edge in taken] == ["in → a", "a → b: safe=True"]

    def test_the_current_node_is_marked_by_more_than_colour(self) -> None:
        alone = ElementTree.fromstring(draw(picture(), standalone=True))
        marked = [
            g.get("data-node") for g in alone.iter(f"{SVG}g") if g.find(f"{SVG}circle") is not None
        ]
        assert marked == ["b"]

    def test_in_a_page_whatever_was_visited_may_become_the_current_one(self) -> None:
        groups = [g for g in parsed().iter(f"{SVG}g") if g.find(f"{SVG}circle") is not None]
        assert [g.get("data-node") for g in groups] == ["in", "a", "b"]

    def test_edges_from_a_node_to_itself_are_drawn_as_one(self) -> None:
        texts = [text.text for text in parsed().iter(f"{SVG}text")]
        assert "again, once more" in texts

    def test_there_is_no_style_and_no_script(self) -> None:
        for standalone in (False, True):
            for part in ElementTree.fromstring(draw(picture(), standalone=standalone)).iter():
                assert part.tag not in (f"{SVG}style", f"{SVG}script")
                assert not [name for name in part.attrib if name in ("style", "onclick", "href")]

    def test_one_that_stands_alone_brings_its_looks(self) -> None:
        alone = ElementTree.fromstring(draw(picture(), standalone=True))
        frames = [r for r in alone.iter(f"{SVG}rect") if r.get("class") == "node-frame"]
        assert all(frame.get("fill") and frame.get("stroke") for frame in frames)
        widths = {frame.get("stroke-width") for frame in frames}
        assert len(widths) == 3  # Plain, visited and current.

    @given(any_text, any_text)
    def test_any_name_gives_a_document(self, label: str, condition: str) -> None:
        nodes = [
            Node(name=label, label=label, kind="action", note=condition, told=condition),
            Node(name="other" + label, label=condition, kind="stream"),
        ]
        edges = [Edge(source=label, target="other" + label, condition=condition)]
        markup = draw(picture(nodes=nodes, edges=edges, title=label, description=condition))
        ElementTree.fromstring(markup.encode())

    def test_long_names_are_cut_and_told_whole(self) -> None:
        name = "a_very_long_name_that_goes_on_and_on_and_on"
        nodes = [Node(name=name, label=name, kind="action")]
        markup = draw(picture(nodes=nodes, edges=[]))
        assert f"<title>{name}</title>" in markup
        assert f">{name}</text>" not in markup

    def test_what_is_too_large_says_so(self) -> None:
        names = [str(number) for number in range(MAX_NODES + 1)]
        nodes = [Node(name=name, label=name, kind="action") for name in names]
        edges = [Edge(source=one, target=other) for one, other in pairwise(names)]
        assert picture(nodes=nodes, edges=edges).is_too_large
        assert not picture().is_too_large
