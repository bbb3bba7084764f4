"""What a chat client does, whatever it looks like: ask, read on, stop, ask again."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from chat.terminal.answers import Answer, Incomplete, Phase, Thread
from chat.terminal.api import Api
from chat.terminal.config import Account
from chat.terminal.connection import Connection, Frame, State, encode
from chat.terminal.failures import ClientFailed, Refused, Unreachable

MAX_FRAME_BYTES = 131_072  # The protocol's; past it the site would end the connection.
TOO_LONG = Refused(code="prompt_too_long", message="The prompt is too long to be sent.")
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
TRIES = 12  # Of a prompt that the site does not take for now: about two minutes.
# What cannot be read from a log any more, but from the saved message.
GONE = {"events_expired", "not_found", "invalid_cursor"}


class Client:
    """
    Answers, kept up to date over a connection that comes and goes.

    Prompts are sent one after another, each when the one before is accepted,
    under a key that makes sending again harmless. Nothing is lost by a broken
    connection and nothing comes twice. ``on_change`` is called with an answer
    whenever there is something new about it; ``on_news`` with ``conversation``
    frames.
    """

    def __init__(
        self,
        account: Account,
        *,
        on_change: Callable[[Answer], None],
        on_state: Callable[[State], None] = lambda _: None,
        on_news: Callable[[Frame], None] = lambda _: None,
        patience: float = float("inf"),
    ) -> None:
        self.api = Api(account)
        self.user = ""
        # What is queued or being written for this user: conversation → generation → message.
        self.running: dict[str, dict[str, str]] = {}
        self.answers: dict[str, Answer] = {}  # Those not over, by generation.
        self._unsent: dict[str, tuple[Answer, Frame]] = {}  # Oldest first; the first is sent.
        self._on_change = on_change
        self._on_news = on_news
        self._settling: set[Answer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tries = 0
        self.connection = Connection(
            account, on_frame=self._receive, on_state=on_state, patience=patience
        )

    async def run(self) -> None:
        """Stay connected until cancelled. Raise as Connection.run()."""
        try:
            await self.connection.run()
        finally:
            for task in self._tasks:
                task.cancel()

    # Asking -----------------------------------------------------------------

    def ask(
        self, text: str, thread: Thread, *, model: str = "", agent: str | None = None
    ) -> Answer:
        """
        Send a prompt, now or when what was asked before it is accepted.

        ``agent`` None: that of the conversation; empty: none.
        """
        # What a terminal hands over need not be text.
        text = text.encode("utf-8", "replace").decode()
        answer = Answer(thread, prompt=text)
        frame = {"type": "send", "id": answer.id, "text": text}
        self._enqueue(answer, frame | _given(model=model or None, agent=agent))
        return answer

    def regenerate(
        self, message: str, thread: Thread, *, model: str = "", agent: str | None = None
    ) -> Answer:
        """Have the prompt of the answer ``message`` answered again. See ask()."""
        answer = Answer(thread)
        frame = {"type": "regenerate", "id": answer.id, "message": message}
        self._enqueue(answer, frame | _given(model=model or None, agent=agent))
        return answer

    def follow(self, generation: str, message: str, thread: Thread) -> Answer:
        """Read an answer that somebody else asked for, from its beginning."""
        if generation not in self.answers:
            self.take_up(Answer(thread, generation=generation, message=message))
        return self.answers[generation]

    def take_up(self, answer: Answer) -> None:
        """Follow an answer that is known to be written, from its beginning."""
        self.answers[answer.generation] = answer
        self.connection.send("follow", generation=answer.generation)

    def stop(self, answer: Answer) -> None:
        """End an answer, or take it from the queue. What is not accepted yet follows when it is."""
        if answer.is_over:
            return
        answer.is_to_stop = True
        if answer.generation:
            self.connection.send("stop", generation=answer.generation)
        elif not self._is_sent(answer):
            answer.withdraw()
            del self._unsent[answer.id]
            if answer.reason:  # It was the first, and held up the others.
                self._send_next()
        self._on_change(answer)

    def _enqueue(self, answer: Answer, frame: Frame) -> None:
        self._unsent[answer.id] = answer, frame
        if len(self._unsent) == 1:
            self._send_next()

    def _is_sent(self, answer: Answer) -> bool:
        first = next(iter(self._unsent), None)
        return answer.id == first and answer.phase is not Phase.WAITING

    def _send_next(self) -> None:
        """Send the oldest prompt that is not accepted."""
        while self._unsent:
            answer, frame = next(iter(self._unsent.values()))
            if frame["type"] == "send" and answer.thread.id:
                frame["conversation"] = answer.thread.id
            if len(encode(**_kind(frame)).encode()) <= MAX_FRAME_BYTES:
                self.connection.send(**_kind(frame))
                return
            self._refuse(answer, TOO_LONG)

    # Frames -----------------------------------------------------------------

    def _receive(self, frame: Frame) -> None:
        match frame:
            case {"type": "hello"}:
                self._greet(frame)
            case {"type": "accepted", "id": str(id)}:
                self._accept(id, frame)
            case {"type": "events", "generation": str(generation)}:
                self._read(generation, frame["events"])
            case {"type": "conversation", "id": str(conversation)}:
                self._note_running(conversation, frame)
                self._on_news(frame)
            case {"type": "error"}:
                self._hear_error(frame)

    def _greet(self, frame: Frame) -> None:
        """Take up, on a new connection, all that the last one has left."""
        self.user = frame["user"]
        self.running = {}
        for row in frame["running"]:
            found = self.running.setdefault(row["conversation"], {})
            found[row["generation"]] = row["message"]
        for generation, answer in self.answers.items():
            self.connection.send("follow", generation=generation, after=answer.cursor)
            if answer.is_to_stop:
                self.connection.send("stop", generation=generation)
        self._send_next()

    def _accept(self, id: str, frame: Frame) -> None:  # noqa: A002
        if id not in self._unsent:
            return
        answer, _ = self._unsent.pop(id)
        self._tries = 0
        answer.thread.id = frame["conversation"]
        answer.accept(
            generation=frame["generation"], message=frame["answer"], place=frame["position"]
        )
        self.answers[answer.generation] = answer
        if answer.is_to_stop:
            self.connection.send("stop", generation=answer.generation)
        self._on_change(answer)
        self._send_next()

    def _read(self, generation: str, events: list[Any]) -> None:
        answer = self.answers.get(generation)
        if answer is None:
            return
        try:
            answer.take(events)
        except Incomplete:
            self._settle_soon(answer)
            return
        if answer.is_over:
            self._end(answer)
        else:
            self._on_change(answer)

    def _end(self, answer: Answer) -> None:
        del self.answers[answer.generation]
        self.running.get(answer.thread.id or "", {}).pop(answer.generation, None)
        for other in self.answers.values():
            if other.thread.id == answer.thread.id and other.phase is Phase.QUEUED:
                other.move_up()
                self._on_change(other)
        self._on_change(answer)

    def _note_running(self, conversation: str, frame: Frame) -> None:
        if frame.get("running"):
            found = self.running.setdefault(conversation, {})
            found[frame["running"]] = frame.get("message", "")
        elif "running" in frame or frame["change"] == "deleted":
            self.running.pop(conversation, None)

    # What goes wrong --------------------------------------------------------

    def _hear_error(self, frame: Frame) -> None:
        error = Refused.from_wire(frame)
        if frame.get("id") in self._unsent:
            answer, _ = self._unsent[frame["id"]]
            if error.retryable and self._tries < TRIES and not answer.is_to_stop:
                self._spawn(self._send_later(answer, error))
            else:
                self._refuse(answer, error)
                self._send_next()
        elif followed := self.answers.get(frame.get("generation", "")):
            if error.code in GONE:
                self._settle_soon(followed)
            elif error.retryable:
                self._spawn(self._follow_later(followed))

    def _refuse(self, answer: Answer, error: Refused) -> None:
        del self._unsent[answer.id]
        self._tries = 0
        answer.fail(error)
        self._on_change(answer)

    async def _send_later(self, answer: Answer, error: Refused) -> None:
        answer.phase, answer.reason = Phase.WAITING, error.message
        self._on_change(answer)
        await asyncio.sleep(self._pause())
        if answer.id in self._unsent:
            answer.phase = Phase.SENDING
            self._on_change(answer)
            self._send_next()

    async def _follow_later(self, answer: Answer) -> None:
        await asyncio.sleep(FIRST_PAUSE)
        self.connection.send("follow", generation=answer.generation, after=answer.cursor)

    def _pause(self) -> float:
        self._tries += 1
        return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (self._tries - 1))

    def _settle_soon(self, answer: Answer) -> None:
        if answer not in self._settling:
            self._settling.add(answer)
            self._spawn(self._settle(answer))

    async def _settle(self, answer: Answer) -> None:
        """Take the stored text of an answer whose events are gone, or do not add up."""
        while True:
            try:
                saved = await self.api.saved(answer.generation)
            except Refused as exc:
                answer.fail(exc)
            except Unreachable:
                await asyncio.sleep(LONGEST_PAUSE)
                continue
            else:
                if saved.status in {"queued", "running"}:
                    answer.forget()
                    self.connection.send("follow", generation=answer.generation)
                else:
                    answer.settle(status=saved.status, text=saved.text, error=saved.error)
            break
        self._settling.discard(answer)
        if answer.is_over:
            self._end(answer)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        async def quietly() -> None:
            with suppress(Refused, ClientFailed):
                await coroutine

        task = asyncio.create_task(quietly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _given(**choices: str | None) -> Frame:
    return {name: value for name, value in choices.items() if value is not None}


def _kind(frame: Frame) -> dict[str, Any]:
    """Return a frame as the arguments that send() takes."""
    return {"kind": frame["type"], **{k: v for k, v in frame.items() if k != "type"}}
