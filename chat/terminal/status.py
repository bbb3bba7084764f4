"""The line at the bottom, and the one at the top."""

from textual.content import Content
from textual.widgets import Static

from chat.terminal.answers import Answer, Phase
from chat.terminal.client import Client
from chat.terminal.connection import State
from chat.terminal.words import duration, one_line, phase_of

LOOKS_PER_SECOND = 4
SIGNS = {
    State.ONLINE: ("●", "$success"),
    State.CONNECTING: ("○", "$warning"),
    State.OFFLINE: ("○", "$error"),
}
WORDS = {State.CONNECTING: "Connecting", State.OFFLINE: "No connection, trying again"}


def spread(left: Content, right: str, *, width: int) -> Content:
    """Return one line with a text at each of its ends; the left one gives way."""
    end = Content.styled(right, "dim")
    room = max(8, width - end.cell_length - 1)
    if left.cell_length > room:
        left = left.truncate(room, ellipsis=True)
    gap = " " * max(1, width - left.cell_length - end.cell_length)
    return Content.assemble(left, gap, end)


class TitleLine(Static):
    """Which conversation this is, and who answers."""

    def __init__(self) -> None:
        super().__init__()
        self._title = self._model = ""

    def show(self, title: str, model: str) -> None:
        self._title, self._model = title, model
        self.on_resize()

    def on_resize(self) -> None:
        title = Content.styled(self._title, "bold")
        self.update(spread(title, self._model, width=self.size.width))


class StatusLine(Static):
    """The connection, and where the answer of the open conversation stands."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self.answer: Answer | None = None
        self.waiting = 0  # Prompts behind it.

    def on_mount(self) -> None:
        self.set_interval(1 / LOOKS_PER_SECOND, self.look)
        self.look()

    def look(self) -> None:
        state = self._client.connection.state
        parts = [WORDS[state]] if state in WORDS else self._progress()
        left = Content.assemble(SIGNS[state], " ", " · ".join(parts))
        self.update(spread(left, "? keys", width=self.size.width))

    def _progress(self) -> list[str]:
        answer = self.answer
        if answer is None or answer.is_over:
            return [f"Connected as {one_line(self._client.user)}"]
        parts = [phase_of(answer)]
        if answer.phase in {Phase.THINKING, Phase.RETRYING, Phase.WRITING}:
            parts.append(duration(answer.seconds))
        if answer.speed:
            parts.append(f"≈ {answer.speed:.0f} tokens/s")
        if self.waiting:
            parts.append(f"{self.waiting} queued")
        return parts
