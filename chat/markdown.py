"""
Markdown to HTML that is safe to place in a page.

Two walls: the renderer emits nothing it was not told to (no raw HTML, no
images, only web and mail links), and an allow-list removes whatever it should
not have emitted. The page's Content-Security-Policy is the third.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import nh3
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight  # type: ignore[import-untyped]
from pygments.formatters import HtmlFormatter  # type: ignore[import-untyped]
from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
from pygments.token import STANDARD_TYPES  # type: ignore[import-untyped]
from pygments.util import ClassNotFound  # type: ignore[import-untyped]

from chat import mathematics

SAFE_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
# The live preview recognises bare addresses by the same expression (live.js).
BARE_LINK = re.compile(r"""https?://(?:[^\s<>"'`*\[\]{}|\\^()]|\([^\s<>()]*\))+(?<![.,:;!?_~])""")
LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
HIGHLIGHT_LIMIT = 50_000  # Characters; colouring longer code would hold up the page.
CACHED_LIMIT = 32_768

# The page has one h1 and an h2 per message, so an answer's headings begin at h3.
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}

TAGS = {
    *("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "li"),
    *("strong", "em", "s", "code", "pre", "span", "div", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *mathematics.TAGS,
}
ATTRIBUTES = {
    "a": {"href", "title", "target"},
    "ol": {"start"},
    "pre": {"tabindex"},
    "div": {"tabindex", "role", "aria-label"},
    "th": {"scope"},
    "span": {"tabindex"},
    **mathematics.ATTRIBUTES,
}
ALIGNMENTS = {"align-left", "align-center", "align-right"}
CLASSES = {
    "div": {"code", "code-head", "table-scroll"},
    "code": {"math-source"},
    "span": {"code-language", "math-display"} | (set(STANDARD_TYPES.values()) - {""}),
    "a": {"image-link"},
    "th": ALIGNMENTS,
    "td": ALIGNMENTS,
}
REL = "noopener noreferrer nofollow"


def render(text: str) -> SafeString:
    """Return the HTML of a Markdown text, whoever wrote it."""
    if len(text) > CACHED_LIMIT:
        return _render(text)
    return _render_cached(text)


def _render(text: str) -> SafeString:
    # A lone surrogate cannot be encoded, so it could not be sent either.
    text = text.encode("utf-8", "replace").decode()
    html = _markdown().render(text)
    # Every part was escaped or is markup of ours, and nh3 has the last word.
    return mark_safe(_clean(html))  # noqa: S308


_render_cached = functools.lru_cache(maxsize=512)(_render)


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        allowed_classes=CLASSES,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel=REL,
    )


class Renderer(RendererHTML):
    """The HTML of the tokens that need more than markdown-it's own."""

    def heading_open(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return f"<{HEADINGS[tokens[index].tag]}>"

    def heading_close(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return f"</{HEADINGS[tokens[index].tag]}>\n"

    def table_open(self, *args: Any) -> str:
        return '<div class="table-scroll" tabindex="0" role="region" aria-label="Table"><table>\n'

    def table_close(self, *args: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return f'<th scope="col"{alignment(tokens[index])}>'

    def td_open(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return f"<td{alignment(tokens[index])}>"

    def link_open(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        return open_link(str(tokens[index].attrGet("href") or ""))

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Link to an image: fetching one unasked would tell its server what was read."""
        source = str(tokens[index].attrGet("src") or "")
        alt = self.renderInlineAsText(tokens[index].children, options, env)
        name = conditional_escape(alt or source)
        return f"{open_link(source, css='image-link')}{name}</a>"

    def fence(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        info = tokens[index].info.strip().split(maxsplit=1)
        return code_block(tokens[index].content, info[0] if info else "")

    def code_block(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return code_block(tokens[index].content, "")

    def math(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        token = tokens[index]
        return mathematics.rendered(token.content, token.info, **token.meta)

    def math_block(self, tokens: Sequence[Token], index: int, *args: Any) -> str:
        return f"<p>{self.math(tokens, index)}</p>\n"


def open_link(address: str, *, css: str = "") -> str:
    """Return the start tag of a link whose tooltip names the host it leads to."""
    try:
        host = urlsplit(address).hostname or address
    except ValueError:
        host = address
    kind = format_html(' class="{}"', css) if css else ""
    return format_html('<a href="{}" title="{}" target="_blank"{}>', address, host[:200], kind)


def alignment(token: Token) -> str:
    """Return the class for a cell's alignment: the policy of the page forbids styles."""
    style = str(token.attrGet("style") or "")
    return f' class="align-{style.removeprefix("text-align:")}"' if style else ""


def code_block(code: str, language: str) -> str:
    """Return a block of code with its language; the page's script adds the copy button."""
    language = language if LANGUAGE.fullmatch(language) else ""
    return format_html(
        '<div class="code"><div class="code-head"><span class="code-language">{}</span></div>'
        '<pre tabindex="0"><code>{}</code></pre></div>\n',
        language,
        coloured(code, language),
    )


def coloured(code: str, language: str) -> str:
    """Return code as HTML, coloured by classes if its language is known."""
    if language and len(code) <= HIGHLIGHT_LIMIT:
        try:
            lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
        except ClassNotFound:
            return code
        # Pygments escapes the code it is given.
        html: str = highlight(code, lexer, HtmlFormatter(nowrap=True))
        return mark_safe(html)  # noqa: S308
    return code


def link_bare_addresses(state: StateCore) -> None:
    """Make links of the addresses in plain text, outside of links and code."""
    for block in state.tokens:
        if block.type != "inline" or "://" not in block.content:
            continue
        children: list[Token] = []
        depth = 0
        for token in block.children or []:
            depth += (token.type == "link_open") - (token.type == "link_close")
            plain = token.type == "text" and not depth
            children.extend(split_addresses(token) if plain else [token])
        block.children = children


def split_addresses(token: Token) -> Iterator[Token]:
    position = 0
    for match in BARE_LINK.finditer(token.content):
        yield Token("text", "", 0, content=token.content[position : match.start()])
        yield Token("link_open", "a", 1, attrs={"href": match[0]})
        yield Token("text", "", 0, content=match[0])
        yield Token("link_close", "a", -1)
        position = match.end()
    yield Token("text", "", 0, content=token.content[position:])


@functools.cache
def _markdown() -> MarkdownIt:
    options = {"html": False, "linkify": False, "typographer": False, "breaks": True}
    markdown = MarkdownIt("commonmark", options, renderer_cls=Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.use(mathematics.formulas)
    markdown.core.ruler.push("bare_addresses", link_bare_addresses)
    markdown.validateLink = lambda url: bool(SAFE_LINK.match(url))  # type: ignore[method-assign]
    return markdown
