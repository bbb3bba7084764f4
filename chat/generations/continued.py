"""
Answers that go on from one that broke off.

Such an answer stands beside the other, which stays as it is, and begins with its
text: in the log right behind the first event, in the message from the start on. To
everything that counts (tokens, the first of them, usage, whether readers have
seen anything) only what comes after that is the answer's own.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext_noop

from chat.chain import CHARACTERS_PER_TOKEN
from chat.conf import chat_settings
from chat.errors import NotContinuable, StorageFailed
from chat.eventlog import BaseEventLog
from chat.events import Event, EventKind
from chat.generations.attachments import IMAGE_CHARS
from chat.generations.end import text_of
from chat.models import Generation, Message
from chat.text import images_of, split_text

if TYPE_CHECKING:
    from chat.generations.turns import Run

INSTRUCTION = (
    "Your answer above broke off. Go on exactly where it ended: write only what comes next, even in"
    " the middle of a sentence or a word. Repeat nothing of it, and say nothing about this."
)
WHOLE = gettext_noop(
    "This answer is whole: there is nothing to go on from. Have it answer again for another."
)
WRITING = gettext_noop("This answer is still being written. Wait, or stop it first.")
AGENTS = gettext_noop("An agent's answer cannot be continued. Have it answer again.")
EMPTY = gettext_noop("There is no text to go on from. Have it answer again.")
# For what is said around the texts.
AROUND_CHARS = 4 * len(INSTRUCTION)


def find_cut(answer_id: UUID) -> Generation:
    """Return the generation of an answer that broke off, with its text. Raise NotContinuable."""
    rows = Generation.objects.select_related("message")
    generation = rows.filter(message_id=answer_id).first()
    if generation is None:  # It was imported, or is a copy.
        raise NotContinuable(WHOLE)
    if not generation.is_terminal:
        raise NotContinuable(WRITING)
    if generation.agent:
        raise NotContinuable(AGENTS)
    if not generation.message.text:
        raise NotContinuable(EMPTY)
    if not generation.is_cut:
        raise NotContinuable(WHOLE)
    return generation


def answer_before(generation: Generation) -> Message | None:
    """Return the answer that a generation goes on from."""
    if generation.continues_id is None:
        return None
    return Message.objects.get(generation=generation.continues_id)


def told(
    history: Sequence[tuple[str, str]], prompt: str, kept: str, *, system: str | None, tokens: int
) -> tuple[list[tuple[str, str]], str]:
    """
    Return the history and the prompt that have a model go on from an answer.

    Of one that does not fit into so many tokens beside what was asked, only the end is told.
    """
    asked = len(prompt) + IMAGE_CHARS * len(images_of(prompt))
    said = len(chat_settings().system_prompt if system is None else system)
    room = CHARACTERS_PER_TOKEN * tokens - asked - said - AROUND_CHARS
    end = kept[-max(room, AROUND_CHARS) :]
    turn = [(str(Message.Role.USER), prompt), (str(Message.Role.ASSISTANT), end)]
    return [*history, *turn], INSTRUCTION


def beginning(run: "Run", events: Sequence[Event]) -> Iterator[tuple[EventKind, dict[str, Any]]]:
    """Yield what the log of a run begins with and does not have yet."""
    if not events:
        yield EventKind.STARTED, run.started
    shown = len(text_of(events, EventKind.DELTA))
    for part in split_text(run.kept[shown:]):
        yield EventKind.DELTA, {"text": part}


async def settled(log: BaseEventLog, run: "Run") -> list[Event]:
    """Return all events of a run that is to end, what it has kept among them. See the log's."""
    events = await log.settled(run.generation_id)
    if not run.kept:
        return events
    try:
        for kind, data in beginning(run, events):
            await log.append(run.generation_id, kind, **data)
    except StorageFailed:
        pass  # Then the text is what could be stored, here as in any other answer.
    return await log.settled(run.generation_id)
