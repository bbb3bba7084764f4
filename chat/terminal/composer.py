"""Where prompts are written."""

from textual import events
from textual.message import Message
from textual.widgets import TextArea

NEW_LINE = {"ctrl+j", "shift+enter", "alt+enter", "ctrl+enter"}


class Composer(TextArea):
    """
    A text of several lines that Enter sends.

    A line that ends in a backslash goes on, for terminals that know no other
    key for it. The arrow up, in an empty text, brings back what was sent.
    """

    class Sent(Message):
        """A prompt is to be sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class HelpWanted(Message):
        """``?`` was pressed where it begins no prompt."""

    class LeaveWanted(Message):
        """Ctrl-D was pressed, and there is nothing to delete."""

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True,
            show_line_numbers=False,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask, or ? for the keys",
        )
        self._history: list[str] = []
        self._back = 0

    async def _on_key(self, event: events.Key) -> None:
        if event.key in NEW_LINE:
            self.insert("\n")
        elif event.key == "enter":
            self._enter()
        elif event.character == "?" and not self.text:
            self.post_message(self.HelpWanted())
        elif event.key == "ctrl+d" and not self.text:
            self.post_message(self.LeaveWanted())
        elif not (event.key in {"up", "down"} and self._recall(event.key)):
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()

    def _enter(self) -> None:
        if self.text.endswith("\\") and self.cursor_location == self.document.end:
            self.action_delete_left()
            self.insert("\n")
        elif self.text.strip():
            self._history.append(self.text)
            self._back = 0
            self.post_message(self.Sent(self.text))
            self.clear()

    def _recall(self, key: str) -> bool:
        """Bring back an earlier prompt, unless one is being written. Say whether it was done."""
        shown = self._history[-self._back] if self._back else ""
        if self.text != shown:
            return False
        back = self._back + (1 if key == "up" else -1)
        if not 0 <= back <= len(self._history):
            return False
        self._back = back
        self.text = self._history[-back] if back else ""
        self.move_cursor(self.document.end)
        return True
