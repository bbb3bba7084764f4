"""
Formulas in Markdown: where they stand, and how they become MathML.

The live preview finds them by the same expressions (live.js), and shows their
source until the server's HTML is there.
"""

import functools
import html
import re
from xml.etree.ElementTree import Element

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from mdit_py_plugins.utils import is_code_block

# What a formula may cost: a longer one, a deeper one, and what is over all is left as its source.
MAX_LENGTH = 2000
MAX_DEPTH = 40
MAX_LINES = 60
MAX_FORMULAS = 300

# A dollar opens where no space follows, and closes where none stands before it and no digit
# after it, so that prices are left alone. No form holds its own delimiters: each text is
# looked at once.
INLINE = (
    (re.compile(r"\$\$((?:\\[\s\S]|[^$\\]){1,2000})\$\$"), True),
    (re.compile(r"\$(?![\s$])((?:\\.|[^$\\\n]){1,1000})(?<!\s)\$(?![\w$])"), False),
    (re.compile(r"\\\(((?:(?!\\[()])[\s\S]){1,1000})\\\)"), False),
    (re.compile(r"\\\[((?:(?!\\[\[\]])[\s\S]){1,2000})\\\]"), True),
)
# "$5 for one and 10$ for two" is no formula, though its dollars stand as those of one.
PRICE = re.compile(r"\d[\d.,]*\s+[^\W\d_]{2}")
CLOSING = {"$$": "$$", "\\[": "\\]"}

TAGS = {
    *("math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot"),
    *("msup", "msub", "msubsup", "mover", "munder", "munderover", "mtable", "mtr", "mtd"),
    *("mstyle", "mpadded", "mphantom", "menclose"),
}
ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"stretchy", "fence", "form", "separator", "accent", "minsize", "maxsize"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "mfrac": {"linethickness"},
    "mspace": {"width"},
    "mpadded": {"width", "height", "depth"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "menclose": {"notation"},
    "mtable": {"columnlines", "rowlines"},
    "mtd": {"columnalign"},
}
PLAIN_VALUE = re.compile(r"[\w .%+-]{1,40}")


def formulas(markdown: MarkdownIt) -> None:
    """Let a parser find formulas, as tokens ``math`` with their source as content."""
    markdown.inline.ruler.before("escape", "math", _inline)
    markdown.block.ruler.before("fence", "math_block", _block)


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "$\\" or _is_after_word(state):
        return False
    for form, is_display in INLINE:
        match = form.match(state.src, state.pos, state.posMax)
        if match is None or not match[1].strip():
            continue
        if not is_display and PRICE.match(match[1]):
            return False
        if not silent:
            _push(state, match[0], match[1], is_display=is_display)
        state.pos = match.end()
        return True
    return False


def _is_after_word(state: StateInline) -> bool:
    return state.src[state.pos] == "$" and state.pos > 0 and state.src[state.pos - 1].isalnum()


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    if is_code_block(state, start):
        return False
    first = _line(state, start)
    closing = CLOSING.get(first[:2])
    if closing is None:
        return False
    lines = []
    for number in range(start, min(end, start + MAX_LINES)):
        line = (first[2:] if number == start else _line(state, number)).rstrip()
        if not line and number > start:
            return False
        lines.append(line)
        if closing not in line:
            continue
        body = "\n".join(lines)[: -len(closing)]
        if not line.endswith(closing) or closing in body or not body.strip():
            return False
        if not silent:
            state.line = number + 1
            _push(state, first[:2] + body + closing, body, is_display=True, block=True)
        return True
    return False


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]


def _push(
    state: StateInline | StateBlock, raw: str, tex: str, *, is_display: bool, block: bool = False
) -> None:
    token = state.push("math_block" if block else "math", "math", 0)
    token.content, token.info = raw, tex.strip()
    token.block = block
    count = state.env["formulas"] = state.env.get("formulas", 0) + 1
    token.meta = {"display": is_display, "left": count > MAX_FORMULAS}


def rendered(raw: str, tex: str, *, display: bool, left: bool = False) -> SafeString:
    """Return a formula as MathML, or as its source where that is wrong or too dear."""
    found = None if left else _mathml(tex, display)
    if found is None:
        return format_html('<code class="math-source">{}</code>', raw)
    if display:
        return format_html('<span class="math-display" tabindex="0">{}</span>', found)
    return found


@functools.lru_cache(maxsize=1024)
def _mathml(tex: str, display: bool) -> SafeString | None:
    if len(tex) > MAX_LENGTH or _depth(tex) > MAX_DEPTH:
        return None
    tex = tex.replace("{aligned}", "{align*}")
    try:
        root = convert_to_element(tex, display="block" if display else "inline")
        # Every name is one of ours, and every text and value is escaped.
        return mark_safe(_markup(root, 0))  # noqa: S308
    except Exception:  # The library has no one error for what is no formula.
        return None


def _depth(tex: str) -> int:
    deepest = depth = 0
    for character in tex:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return max(deepest, tex.count("\\left"), tex.count("\\begin"), tex.count("\\sqrt"))


def _markup(element: Element, depth: int) -> str:
    if element.tag not in TAGS or depth > 4 * MAX_DEPTH:
        raise ValueError(element.tag)
    if element.tag == "mi" and (element.text or "").startswith("\\"):
        raise ValueError(element.text)  # A command that is not known.
    allowed = ATTRIBUTES.get(element.tag, ())
    values = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if name in allowed and PLAIN_VALUE.fullmatch(value)
    )
    # The library writes its signs as references.
    text = conditional_escape(html.unescape(element.text or ""))
    inside = "".join(_markup(child, depth + 1) for child in element)
    return f"<{element.tag}{values}>{text}{inside}</{element.tag}>"
