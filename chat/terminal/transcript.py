"""What was said, as it is shown: prompts, and answers while they are written."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from chat.terminal.answers import Answer, Phase
from chat.terminal.words import duration, facts_of, one_line, phase_of, printable

PAINTS_PER_SECOND = 12
SHOWN = 40  # Messages of a conversation that is opened; the earlier ones wait to be asked for.
SAFE_SCHEMES = {"http", "https", "mailto"}


def markdown_parser() -> MarkdownIt:
    """As the chat page reads Markdown: tables, no HTML, and line ends where the model has them."""
    parser = MarkdownIt("gfm-like", {"html": False})
    parser.core.ruler.push("keep_line_ends", _keep_line_ends)
    return parser


def _keep_line_ends(state: Any) -> None:
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"


class PromptView(Static):
    """What was asked."""

    def __init__(self, text: str) -> None:
        super().__init__(Content(printable(text)))


class Thoughts(Vertical):
    """A model's reasoning: in sight while it thinks, folded when it has begun to answer."""

    def __init__(self) -> None:
        super().__init__()
        self._words = ""
        self._text = ""
        self._was_thinking = True
        self._title = Static(classes="title")
        self._body = Static(classes="body")
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._body

    def show(self, answer: Answer) -> None:
        if not answer.thoughts:
            return
        self.display = True
        is_thinking = answer.phase is Phase.THINKING
        self._words = "Thinking" if is_thinking else "Thoughts"
        if answer.thought_at and answer.written_at:
            self._words = f"Thought for {duration(answer.written_at - answer.thought_at)}"
        if self._text != answer.thoughts:
            self._text = answer.thoughts
            self._body.update(Content(printable(self._text).strip()))
        if self._was_thinking and not is_thinking:
            self.add_class("folded")
        self._was_thinking = is_thinking
        self._show_title()

    def fold(self) -> None:
        """Fold it, or unfold it."""
        self.toggle_class("folded")
        self._show_title()

    def _show_title(self) -> None:
        sign = "▸" if self.has_class("folded") else "▾"
        self._title.update(Content(f"{sign} {self._words}"))

    def on_click(self) -> None:
        self.fold()


class AnswerView(Vertical):
    """An answer, redrawn while it is written. ``live``: it was asked for or followed here."""

    def __init__(self, answer: Answer, *, live: bool = True) -> None:
        super().__init__()
        self.answer = answer
        self._live = live
        self._is_shown_whole = answer.is_over
        self._shown = ""
        self._stream: MarkdownStream | None = None
        self._timer: Timer | None = None
        text = printable(answer.text) if self._is_shown_whole else ""
        self._thoughts = Thoughts()
        self._markdown = Markdown(text, parser_factory=markdown_parser, open_links=False)
        self._foot = Static(classes="foot")

    def compose(self) -> ComposeResult:
        yield self._thoughts
        yield self._markdown
        yield self._foot

    def on_mount(self) -> None:
        if self._is_shown_whole:
            self._finish()

    @on(Markdown.TableOfContentsUpdated)
    async def begin(self) -> None:
        """Write, now that the empty text is in place: it would come over what is written before."""
        if not self._is_shown_whole and self._timer is None:
            self._timer = self.set_interval(1 / PAINTS_PER_SECOND, self._paint)
            await self._paint()

    def fold_thoughts(self) -> None:
        self._thoughts.fold()

    async def _paint(self) -> None:
        # It goes on while this waits, so what is drawn is what it was.
        answer, text, is_over = self.answer, self.answer.text, self.answer.is_over
        self._thoughts.show(answer)
        if len(text) > len(self._shown):
            # Not before there is something to write: stopping one that has not begun would
            # end this widget with it.
            self._stream = self._stream or Markdown.get_stream(self._markdown)
            await self._stream.write(printable(text[len(self._shown) :]))
            self._shown += text[len(self._shown) :]
        if not is_over:
            self._foot.display = answer.phase is not Phase.WRITING
            self._foot.update(Content(phase_of(answer)))
            return
        if self._timer:
            self._timer.stop()
        if self._stream:
            await self._stream.stop()
            self._stream = None
        if self._shown != text:  # What is stored is not what was read.
            await self._markdown.update(printable(text))
        self._finish()

    def _finish(self) -> None:
        answer = self.answer
        self.add_class("over")
        self._markdown.display = bool(answer.text)
        self._foot.display = True
        is_bad = answer.phase in {Phase.FAILED, Phase.INTERRUPTED}
        self.set_class(is_bad, "bad")
        if is_bad:
            hint = " Ctrl-R tries again." if answer.is_retryable else ""
            self._foot.update(Content(f"✗ {one_line(answer.reason)}{hint}"))
        elif self._live:
            self._foot.update(Content(facts_of(answer)))
        elif answer.phase is Phase.STOPPED:
            self._foot.update(Content("Stopped"))
        else:
            self._foot.display = False

    @on(Markdown.LinkClicked)
    def open_link(self, event: Markdown.LinkClicked) -> None:
        event.stop()
        if urlsplit(event.href).scheme in SAFE_SCHEMES:
            self.app.open_url(event.href)


class Earlier(Static, can_focus=True):
    """Stands for messages that are not shown yet."""

    class Wanted(Message):
        """They are to be shown."""

    def __init__(self, number: int) -> None:
        super().__init__(Content(f"↑ {number} earlier messages"))

    def on_click(self) -> None:
        self.post_message(self.Wanted())

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            self.post_message(self.Wanted())


class Transcript(VerticalScroll, can_focus=True):
    """The messages of one conversation. It stays at its end until somebody scrolls up."""

    def __init__(self) -> None:
        super().__init__()
        self._earlier: list[Widget] = []

    @property
    def answers(self) -> list[AnswerView]:
        return list(self.query(AnswerView))

    @property
    def unfinished(self) -> list[Answer]:
        return [view.answer for view in self.answers if not view.answer.is_over]

    async def replace(self, views: Sequence[Widget]) -> None:
        """Show these and nothing else; of many, the last ones."""
        self._earlier, shown = list(views[:-SHOWN]), list(views[-SHOWN:])
        if self._earlier:
            shown.insert(0, Earlier(len(self._earlier)))
        elif not shown:
            shown.append(Static(Content("What would you like to know?"), id="empty"))
        await self.remove_children()
        await self.mount_all(shown)
        self.anchor()

    async def add(self, *views: Widget) -> None:
        """Show these at the end, and go there."""
        await self.query("#empty").remove()
        await self.mount_all(views)
        self.anchor()

    @on(Earlier.Wanted)
    async def show_earlier(self) -> None:
        views, self._earlier = self._earlier, []
        place = self.query_one(Earlier)
        await self.mount_all(views, after=place)
        await place.remove()
        views[-1].scroll_visible(animate=False)
