"""The list of conversations."""

from collections.abc import Collection
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from chat.terminal.api import Api, Conversation
from chat.terminal.failures import ClientFailed, Refused
from chat.terminal.words import one_line

SEARCH_SECONDS = 0.2  # After the last key.
NEW = "new"
UNTITLED = "New conversation"


class Sidebar(Vertical):
    """Conversations, most recently used first, to choose from and to search."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("down", "enter_list", show=False)]

    class Chosen(Message):
        """One is to be opened; None: a new one."""

        def __init__(self, conversation: str | None) -> None:
            super().__init__()
            self.conversation = conversation

    class Listed(Message):
        """The titles are those of the site."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api
        self._timer: Timer | None = None
        self.current: str | None = None
        self.running: Collection[str] = ()
        self._rows: list[Conversation] = []

    def compose(self) -> ComposeResult:
        yield Input(placeholder="Search conversations", compact=True)
        yield OptionList(compact=True)

    def title_of(self, conversation: str | None) -> str:
        """Return a conversation's title, as far as it is listed."""
        titles = {row["id"]: row["title"] for row in self._rows}
        return one_line(titles.get(conversation or "", "")) or UNTITLED

    def reload(self, delay: float = 0.0) -> None:
        """List anew, soon."""
        if self._timer:
            self._timer.stop()
        self._timer = self.set_timer(max(delay, 0.01), self._load)

    async def _load(self) -> None:
        try:
            self._rows = await self._api.conversations(query=self.query_one(Input).value.strip())
        except (ClientFailed, Refused) as exc:
            self.notify(one_line(str(exc)), severity="error", markup=False)
            return
        self.draw()
        self.post_message(self.Listed())

    def draw(self) -> None:
        """Show what is listed, which one is open, and where an answer is being written."""
        shown = self.query_one(OptionList)
        highlighted = shown.highlighted_option.id if shown.highlighted_option else None
        options = [Option(Content("+ New conversation"), id=NEW)]
        options += [Option(self._line(row), id=row["id"]) for row in self._rows]
        shown.set_options(options)
        ids = [option.id for option in options]
        wanted = highlighted if shown.has_focus else self.current
        shown.highlighted = ids.index(wanted) if wanted in ids else 0

    def _line(self, row: Conversation) -> Content:
        title = one_line(row["title"]) or UNTITLED
        sign = "● " if row["id"] in self.running else "  "
        return Content.assemble((sign, "$success"), (title, "bold" * (row["id"] == self.current)))

    @on(Input.Changed)
    def search(self) -> None:
        self.reload(SEARCH_SECONDS)

    @on(Input.Submitted)
    def action_enter_list(self) -> None:
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(None if event.option_id == NEW else event.option_id))
