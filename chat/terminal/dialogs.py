"""What is shown above the chat: the keys, and a list to choose from."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from chat.terminal.api import Choice
from chat.terminal.failures import ClientFailed, Refused
from chat.terminal.words import one_line

KEYS = (
    ("Enter", "send; while an answer is written, the prompt waits its turn"),
    ("Ctrl-J, Alt-Enter", "new line; or end the line with \\"),
    ("↑", "in an empty line: what was sent before"),
    ("Esc, Ctrl-C", "stop the answer"),
    ("Ctrl-R", "answer the last prompt again"),
    ("Ctrl-T", "fold or unfold the model's thoughts"),
    ("Ctrl-Y", "copy the last answer"),
    ("PgUp, PgDn", "scroll"),
    ("Ctrl-O, F2", "conversations: choose, search"),
    ("Ctrl-N, F3", "new conversation"),
    ("Ctrl-L, F4", "choose a model"),
    ("Ctrl-G", "choose an agent"),
    ("F1, ?", "these keys"),
    ("Ctrl-Q", "leave; so do Ctrl-C and Ctrl-D when nothing runs"),
)


class Help(ModalScreen[None]):
    """The keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,f1,question_mark", "dismiss", "Close")
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static(Content("Keys"), classes="heading")
            for keys, meaning in KEYS:
                with Horizontal(classes="key"):
                    yield Static(Content.styled(keys, "bold"), classes="name")
                    yield Static(Content(meaning))


class Picker(ModalScreen[str | None]):
    """A list of choices that typing narrows. Its result is the name, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Close"),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
    ]

    def __init__(self, heading: str, choices: Sequence[Choice], *, chosen: str | None) -> None:
        super().__init__()
        self._heading = heading
        self._choices = choices
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self._heading), classes="heading")
            yield Input(placeholder="Search", compact=True)
            yield OptionList(compact=True)

    def on_mount(self) -> None:
        self.fill("")
        self.query_one(Input).focus()

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        self.fill(event.value)

    def fill(self, words: str) -> None:
        shown = self.query_one(OptionList)
        words = words.lower()
        found = [
            each for each in self._choices if words in f"{each.name} {each.description}".lower()
        ]
        shown.set_options(Option(self._line(choice), id=choice.name) for choice in found)
        names = [choice.name for choice in found]
        if names:
            shown.highlighted = names.index(self._chosen) if self._chosen in names else 0

    def _line(self, choice: Choice) -> Content:
        sign = "● " if choice.name == self._chosen else "  "
        name = f"{one_line(choice.name)}  " if choice.name else ""
        return Content.assemble(sign, name, (one_line(choice.description), "dim"))

    def action_move(self, by: int) -> None:
        shown = self.query_one(OptionList)
        if by > 0:
            shown.action_cursor_down()
        else:
            shown.action_cursor_up()

    @on(Input.Submitted)
    def take(self) -> None:
        option = self.query_one(OptionList).highlighted_option
        self.dismiss(option.id if option else None)

    @on(OptionList.OptionSelected)
    def take_option(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)


async def pick(
    app: App[Any], heading: str, load: Callable[[], Awaitable[Sequence[Choice]]], chosen: str | None
) -> str | None:
    """Have one of the site's models or agents chosen; None: no other. To be called by a worker."""
    try:
        choices = await load()
    except (ClientFailed, Refused) as exc:
        app.notify(one_line(str(exc)), severity="error", markup=False)
        return None
    return await app.push_screen_wait(Picker(heading, choices, chosen=chosen))
