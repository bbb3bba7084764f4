"""The looks of a picture that is on its own, without the stylesheet of a page."""

from xml.etree.ElementTree import Element

from chat.drawing.svg import element

MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
GROUND, INK, MUTED, LINE, ACCENT, SOFT = (
    *("#ffffff", "#21201c", "#66625a", "#a8a294", "#2c6a4f", "#dcebe2"),
)
# By class, the plainest first: what comes later goes over it.
PLAIN: dict[str, dict[str, str]] = {
    "node-frame": {"fill": GROUND, "stroke": LINE, "stroke-width": "1.2"},
    "node-name": {"fill": INK, "font-size": "13", "font-family": MONO},
    "node-note": {"fill": MUTED, "font-size": "11", "font-family": MONO},
    "node-mark": {"fill": ACCENT, "stroke": GROUND, "stroke-width": "1.5"},
    "edge-line": {"stroke": LINE, "stroke-width": "1.2"},
    "edge-head": {"fill": LINE},
    "edge-ground": {"fill": GROUND},
    "edge-condition": {"fill": MUTED, "font-size": "11.5", "font-family": MONO},
}
STATES: dict[str, dict[str, dict[str, str]]] = {
    "node-input": {"node-frame": {"stroke-dasharray": "4 3"}},
    "is-visited": {"node-frame": {"fill": SOFT, "stroke": ACCENT, "stroke-width": "2"}},
    "is-current": {"node-frame": {"stroke-width": "3.5"}, "node-name": {"font-weight": "700"}},
    "is-taken": {
        "edge-line": {"stroke": ACCENT, "stroke-width": "2.6"},
        "edge-head": {"fill": ACCENT},
        "edge-condition": {"fill": INK, "font-weight": "700"},
    },
}


def dress(root: Element) -> None:
    """Give a picture its colours and faces, as attributes, and a ground to be seen on."""
    for group in root.iter("g"):
        states = group.get("class", "").split()
        for part in group:
            name = part.get("class", "")
            looks = dict(PLAIN.get(name, {}))
            for state in states:
                looks |= STATES.get(state, {}).get(name, {})
            for attribute, value in looks.items():
                part.set(attribute, value)
    ground = element("rect", {"width": "100%", "height": "100%", "fill": GROUND})
    root.insert(2, ground)
