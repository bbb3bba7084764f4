"""The chat on the whole screen of a terminal."""

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from chat.terminal.answers import Answer, Thread
from chat.terminal.client import Client
from chat.terminal.composer import Composer
from chat.terminal.config import Account, Choices
from chat.terminal.connection import Frame, State
from chat.terminal.dialogs import Help, pick
from chat.terminal.failures import ClientFailed, Refused
from chat.terminal.history import load
from chat.terminal.sidebar import UNTITLED, Sidebar
from chat.terminal.status import StatusLine, TitleLine
from chat.terminal.transcript import AnswerView, PromptView, Transcript
from chat.terminal.words import one_line

WIDE = 100
SETTLE_SECONDS = 1.0
# What may be done while a dialog is shown; all else is done to the chat below it.
ABOVE = {"interrupt", "leave", "help"}
GOES_ON = "The answer goes on. It will be in your conversation."


class ChatApp(App[int]):
    """One conversation at a time, read and written; any other can be opened."""

    TITLE = "Chat"
    CSS_PATH = Path(__file__).with_name("app.tcss")
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", "Stop", priority=True),
        Binding("escape", "stop", "Stop"),
        Binding("ctrl+q", "leave", "Leave", priority=True),
        Binding("f1", "help", "Keys"),
        Binding("ctrl+o,f2", "conversations", "Conversations", priority=True),
        Binding("ctrl+n,f3", "new", "New conversation", priority=True),
        Binding("ctrl+l,f4", "model", "Model", priority=True),
        Binding("ctrl+g", "agent", "Agent", priority=True),
        Binding("ctrl+r", "again", "Answer again", priority=True),
        Binding("ctrl+t", "thoughts", "Thoughts", priority=True),
        Binding("ctrl+y", "copy", "Copy the answer", priority=True),
        Binding("pageup", "scroll(-1)", "Up", priority=True),
        Binding("pagedown", "scroll(1)", "Down", priority=True),
    ]

    def __init__(self, account: Account, choices: Choices) -> None:
        super().__init__()
        self.client = Client(
            account,
            on_change=self._changed,
            on_state=self._state_changed,
            on_news=self._hear_news,
        )
        self.talk = Thread()
        self.model = choices.model
        self.agent = choices.agent
        self.default_model = ""
        self._wanted = choices.conversation

    def compose(self) -> ComposeResult:
        self.title_line = TitleLine()
        self.sidebar = Sidebar(self.client.api)
        self.transcript = Transcript()
        self.composer = Composer()
        self.status = StatusLine(self.client)
        yield self.title_line
        self.middle = Horizontal(id="middle")
        with self.middle:
            yield self.sidebar
            with Vertical(id="right"):
                yield self.transcript
                yield self.composer
        yield self.status

    async def on_mount(self) -> None:
        await self.transcript.replace([])
        self.composer.focus()
        self._connected = asyncio.create_task(self._stay_connected())

    async def on_unmount(self) -> None:
        """Close the connection before the loop ends."""
        self._connected.cancel()
        await asyncio.wait([self._connected])

    # The connection ---------------------------------------------------------

    async def _stay_connected(self) -> None:
        try:
            await self.client.run()
        except ClientFailed as exc:
            self.exit(return_code=2, message=f"Error: {one_line(str(exc))}")

    def _state_changed(self, state: State) -> None:
        self.status.look()
        if state is State.ONLINE:
            self.sidebar.reload()
            self._begin()

    @work(exclusive=True, group="begin")
    async def _begin(self) -> None:
        """Read what is needed once, when there is a connection for the first time."""
        try:
            if not self.default_model:
                models = await self.client.api.models()
                self.default_model = models[0].name if models else ""
                self._show_title()
            if self._wanted == "last":
                newest = await self.client.api.conversations(limit=1)
                self._wanted = newest[0]["id"] if newest else ""
            if self._wanted:
                await self._open(self._wanted)
                self._wanted = ""
        except (ClientFailed, Refused) as exc:
            self._complain(exc)

    def _complain(self, error: Exception) -> None:
        self.notify(one_line(str(error)), severity="error", markup=False, timeout=10)

    # Answers ----------------------------------------------------------------

    def _changed(self, answer: Answer) -> None:
        self._show_status()
        if answer.thread is self.talk and self.sidebar.current != self.talk.id:
            self.sidebar.current = self.talk.id
            self.sidebar.reload()
            self._show_title()

    def _show_status(self) -> None:
        unfinished = self.transcript.unfinished
        self.status.answer = unfinished[0] if unfinished else None
        self.status.waiting = max(0, len(unfinished) - 1)
        self.status.look()

    @on(Sidebar.Listed)
    def _show_title(self) -> None:
        model = self.model or self.default_model
        who = f"{one_line(self.agent)} · {one_line(model)}" if self.agent else one_line(model)
        title = self.sidebar.title_of(self.talk.id) if self.talk.id else UNTITLED
        self.title_line.show(title, who)

    def _hear_news(self, frame: Frame) -> None:
        self.sidebar.running = self.client.running.keys()
        self.sidebar.reload(SETTLE_SECONDS / 2)
        if frame["id"] != self.talk.id:
            pass
        elif frame["change"] == "deleted":
            self.notify("This conversation was deleted.", severity="warning")
            self.call_later(self.action_new)
        elif frame.get("running"):
            # Of what was asked here the site tells as well, and perhaps before it is accepted.
            self.set_timer(SETTLE_SECONDS, self._look_for_others)

    async def _look_for_others(self) -> None:
        """Show what was asked in this conversation by somebody else."""
        known = {view.answer.generation for view in self.transcript.answers}
        if set(self.client.running.get(self.talk.id or "", ())) - known:
            await self._open(self.talk.id)

    # Conversations ----------------------------------------------------------

    async def _open(self, conversation: str | None) -> None:
        """Show a conversation, from its end; None: a new one."""
        talk = Thread(conversation)
        found: list[str | Answer] = []
        if conversation:
            try:
                found = await load(self.client, talk)
            except (ClientFailed, Refused) as exc:
                self._complain(exc)
                return
        for answer in self.transcript.unfinished:  # What the site has not heard of yet.
            if conversation and answer.thread.id == conversation and not answer.generation:
                found += [answer.prompt, answer]
        self.talk = talk
        self.sidebar.current = conversation
        self.sidebar.draw()
        views: list[Widget] = [
            PromptView(each) if isinstance(each, str) else AnswerView(each, live=not each.is_over)
            for each in found
        ]
        await self.transcript.replace(views)
        self._show_title()
        self._show_status()

    @on(Sidebar.Chosen)
    @work(exclusive=True, group="open")
    async def open_chosen(self, event: Sidebar.Chosen) -> None:
        self.middle.remove_class("listing")
        self.composer.focus()
        await self._open(event.conversation)

    # What keys do -----------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave to a dialog and to the list what is pressed there."""
        if isinstance(self.screen, ModalScreen):
            return action in ABOVE
        return action != "scroll" or not self._is_in_list

    @on(Composer.Sent)
    async def ask(self, event: Composer.Sent) -> None:
        answer = self.client.ask(event.text, self.talk, model=self.model, agent=self.agent)
        await self.transcript.add(PromptView(answer.prompt), AnswerView(answer))
        self._show_status()

    @property
    def _is_in_list(self) -> bool:
        return self.sidebar.has_pseudo_class("focus-within")

    def action_stop(self) -> None:
        if self._is_in_list:
            self.middle.remove_class("listing")
        elif running := self.transcript.unfinished:
            # What is being stopped already makes way for the next.
            self.client.stop(next((a for a in running if not a.is_to_stop), running[0]))
        self.composer.focus()

    def action_interrupt(self) -> None:
        if selected := self.composer.selected_text or self.screen.get_selected_text():
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            self.composer.move_cursor(self.composer.cursor_location)
        elif self.transcript.unfinished:
            self.action_stop()
        else:
            self.action_leave()

    @on(Composer.LeaveWanted)
    def action_leave(self) -> None:
        self.exit(0, message=GOES_ON if self.client.answers else None)

    @on(Composer.HelpWanted)
    def action_help(self) -> None:
        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    def action_conversations(self) -> None:
        # On a wide screen the list is there anyway.
        self.middle.toggle_class("listing")
        if self.middle.has_class("listing"):
            self.sidebar.query_one("Input").focus()
        else:
            self.composer.focus()

    async def action_new(self) -> None:
        self.middle.remove_class("listing")
        await self._open(None)
        self.composer.focus()

    @work(exclusive=True, group="choose")
    async def action_model(self) -> None:
        chosen = self.model or self.default_model
        self.model = await pick(self, "Model", self.client.api.models, chosen) or self.model
        self._show_title()

    @work(exclusive=True, group="choose")
    async def action_agent(self) -> None:
        chosen = await pick(self, "Agent", self.client.api.agents, self.agent)
        self.agent = self.agent if chosen is None else chosen
        self._show_title()

    async def action_again(self) -> None:
        views = self.transcript.answers
        if not views or not (last := views[-1]).answer.is_over:
            return
        if last.answer.message:
            message = last.answer.message
            answer = self.client.regenerate(message, self.talk, model=self.model, agent=self.agent)
        else:  # It was refused, so the site has no prompt to answer.
            prompt = last.answer.prompt
            answer = self.client.ask(prompt, self.talk, model=self.model, agent=self.agent)
        await last.remove()
        await self.transcript.add(AnswerView(answer))
        self._show_status()

    def action_thoughts(self) -> None:
        for view in self.transcript.answers[-1:]:
            view.fold_thoughts()

    def action_copy(self) -> None:
        texts = [view.answer.text for view in self.transcript.answers if view.answer.text]
        if texts:
            self.copy_to_clipboard(texts[-1])
            self.notify("The answer was copied.")

    def action_scroll(self, by: int) -> None:
        shown = self.transcript
        (shown.scroll_page_up if by < 0 else shown.scroll_page_down)(animate=False)
