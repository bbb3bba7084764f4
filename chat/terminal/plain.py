"""The chat as lines of text: for pipes, scripts and screen readers."""

import asyncio
import codecs
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from chat.terminal.answers import Answer, Phase, Thread
from chat.terminal.client import Client
from chat.terminal.config import Account, Choices
from chat.terminal.connection import State
from chat.terminal.failures import BadConfig, ClientFailed, Refused
from chat.terminal.words import facts_of, one_line, phase_of, printable

ANSWERED, FAILED, UNUSABLE, BROKEN_OFF = 0, 1, 2, 130
# Prompts that are asked before the first is answered; the site's own queue has an end.
AHEAD = 8
LOST_SECONDS = 60.0  # Without a connection; a site restarts in less.


class Plain:
    """
    Answers on standard output in the order of their prompts, everything else on standard error.

    Prompts are the lines of standard input; one that ends in a backslash goes
    on in the next. They are read while an answer is written, and wait.
    """

    def __init__(self, account: Account, choices: Choices) -> None:
        self._choices = choices
        self._thread = Thread()
        self._client = Client(
            account, on_change=self._changed, on_state=self._state_changed, patience=0
        )
        self._prompts: deque[str] = deque()
        self._answers: deque[Answer] = deque()
        self._has_all_prompts = False
        self._printed = 0  # Characters of the first answer.
        self._ends_line = True
        self._said = ""
        self._was_online = False
        self._wake = asyncio.Event()
        self._code = ANSWERED
        self._is_broken_off = False

    async def run(self) -> int:
        """Return the exit code. Raise ClientFailed when there is no connection."""
        with suppress(NotImplementedError):  # On Windows Ctrl-C ends the program.
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        connected = asyncio.create_task(self._client.run())
        connected.add_done_callback(lambda _: self._wake.set())
        try:
            await self._find_thread()
            if self._choices.ask is not None:
                self._prompts.append(self._choices.ask)
                self._has_all_prompts = True
            else:
                read_lines(self._add_prompt)
            await self._work(connected)
        finally:
            connected.cancel()
        return BROKEN_OFF if self._is_broken_off else self._code

    async def _find_thread(self) -> None:
        wanted = self._choices.conversation
        try:
            if wanted == "last":
                newest = await self._client.api.conversations(limit=1)
                self._thread.id = newest[0]["id"] if newest else None
            elif wanted:
                self._thread.id = (await self._client.api.conversation(wanted))["id"]
        except Refused as exc:
            raise BadConfig(f"The conversation cannot be found: {exc.message}") from exc

    async def _work(self, connected: "asyncio.Task[None]") -> None:
        while not self._is_broken_off:
            self._wake.clear()
            self._ask()
            self._print()
            if connected.done():
                connected.result()  # Raises what ended it.
            if self._has_all_prompts and not self._prompts and not self._answers:
                return
            await self._wake.wait()

    # Prompts ----------------------------------------------------------------

    def _add_prompt(self, prompt: str | None) -> None:
        if prompt is None:
            self._has_all_prompts = True
        elif prompt.strip():
            self._prompts.append(prompt)
        else:
            self._invite()
        self._wake.set()

    def _ask(self) -> None:
        while self._prompts and len(self._answers) < AHEAD:
            answer = self._client.ask(
                self._prompts.popleft(),
                self._thread,
                model=self._choices.model,
                agent=self._choices.agent,
            )
            self._answers.append(answer)

    def _invite(self) -> None:
        """Show that it is the person's turn."""
        if sys.stdin.isatty() and not (self._has_all_prompts or self._prompts or self._answers):
            say("> ", end="")

    def _interrupt(self) -> None:
        """Stop the answer that is written; the second time, or without one, end."""
        answer = self._answers[0] if self._answers else None
        if answer is None:
            self._prompts.clear()
            self._has_all_prompts = True
        elif answer.is_to_stop:
            self._is_broken_off = True
        else:
            self._client.stop(answer)
        self._wake.set()

    # Output -----------------------------------------------------------------

    def _changed(self, answer: Answer) -> None:
        self._wake.set()

    def _state_changed(self, state: State) -> None:
        if state is State.ONLINE:
            if self._was_online:
                self._say("Connected again.")
            else:
                self._say(f"Connected as {one_line(self._client.user)}.")
                self._invite()
            self._was_online = True
            self._client.connection.patience = LOST_SECONDS
        elif state is State.OFFLINE and self._was_online:
            self._say("The connection is lost. Trying again.")

    def _print(self) -> None:
        while self._answers:
            answer = self._answers[0]
            self._write(answer.text[self._printed :])
            self._printed = max(self._printed, len(answer.text))
            if not answer.is_over:
                if answer.phase not in {Phase.SENDING, Phase.WRITING}:
                    self._say_once(phase_of(answer))
                return
            self._answers.popleft()
            self._finish(answer)
            self._ask()
            self._invite()

    def _finish(self, answer: Answer) -> None:
        if not self._ends_line:
            self._write("\n")
        if answer.phase is not Phase.DONE:
            self._code = FAILED
        if answer.reason:
            say(f"Error: {one_line(answer.reason)}")
        self._say(facts_of(answer))
        self._printed, self._said = 0, ""

    def _write(self, text: str) -> None:
        if not text:
            return
        # A pipe gets what the model wrote, a terminal what cannot harm it.
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()
        self._ends_line = text.endswith("\n")

    def _say_once(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._say(f"{words.removesuffix('.')}.")

    def _say(self, words: str) -> None:
        if words and not self._choices.quiet:
            say(words)


def say(words: str, *, end: str = "\n") -> None:
    """Tell the person, not whoever reads the answers."""
    sys.stderr.write(f"{words}{end}")
    sys.stderr.flush()


def read_lines(take: Callable[[str | None], None]) -> None:
    """
    Give the loop each prompt of standard input, and None at its end.

    A file cannot be waited for by every loop, so a thread reads. Not through
    ``sys.stdin``: its lock, held for ever, would be in the way of the end.
    """
    loop = asyncio.get_running_loop()

    def work() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = prompt = ""
        while data := os.read(0, 65536):
            *lines, rest = (rest + decoder.decode(data)).split("\n")
            for line in lines:
                prompt += line.removesuffix("\r")
                if prompt.endswith("\\"):
                    prompt = f"{prompt[:-1]}\n"
                    continue
                loop.call_soon_threadsafe(take, prompt)
                prompt = ""
        if prompt + rest:
            loop.call_soon_threadsafe(take, prompt + rest)
        loop.call_soon_threadsafe(take, None)

    threading.Thread(target=work, daemon=True).start()


def run(account: Account, choices: Choices) -> int:
    """Chat until the prompts are answered and return the exit code. Says what ends it early."""
    try:
        return asyncio.run(Plain(account, choices).run())
    except ClientFailed as exc:
        say(f"Error: {one_line(str(exc))}")
        return UNUSABLE
    except BrokenPipeError:
        # Nobody reads on. What is still in the buffer would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
