"""
The steps of agents as rows: units of database work, and what is read of them.

An answer of the plain chain has no rows. It reads as one step all the same.
"""

from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone

from chat.agents.context import state_left, turn
from chat.errors import Fenced
from chat.generations.history import history_before
from chat.models import Conversation, Generation, Message, Step

Status = Generation.Status

# What changes after a step has started.
CHANGES = [
    "status", "state_after", "result", "error", "first_delta_at", "ended_at", "deltas", "calls",
    "usage",
]  # fmt: skip
ANSWER = "answer"  # The name of the one step of a plain answer.
HISTORY_CHARS = 100_000  # How much of what went before such a step shows.


def first_sequence(generation: Generation) -> int:
    """Return the number of a generation's first step: that of its conversation's steps so far."""
    earlier = Generation.objects.filter(
        conversation_id=generation.conversation_id, pk__lt=generation.pk
    )
    rows = Step.objects.filter(generation__in=earlier).order_by("-sequence")
    last = rows.values_list("sequence", "generation_id").first()
    # Those that left the queue were never begun; any other has one step at least.
    without_rows = earlier.filter(started_at__isnull=False, steps=None)
    if last is None:
        return without_rows.count()
    sequence, generation_id = last
    return sequence + 1 + without_rows.filter(pk__gt=generation_id).count()


def save(generation_id: UUID, epoch: int, steps: Sequence[Step], *, are_first: bool) -> None:
    """
    Save steps of a running generation, those that have started and those that have ended.

    With ``are_first``, what an earlier run of it left is deleted. Saving the
    same again does no harm. Raise Fenced, having saved nothing, if it has ended
    or belongs to a later epoch.
    """
    owned = Generation.objects.running().filter(pk=generation_id, epoch=epoch)
    if owned.select_for_update(no_key=True).values_list("pk").first() is None:
        raise Fenced
    if are_first:
        kept = [step.pk for step in steps]
        Step.objects.filter(generation_id=generation_id).exclude(pk__in=kept).delete()
    _upsert(steps)


def close(generation_id: UUID, steps: Sequence[Step] = (), *, text: str) -> None:
    """
    Save the last steps of a generation that ends in this transaction, its text known.

    One that still runs by its row has lost its process.
    """
    rows = Step.objects.filter(generation_id=generation_id)
    known = [step.pk for step in steps]
    if steps:
        # Of an earlier run, if this one ends before its first step was saved.
        taken = rows.filter(sequence__in=[step.sequence for step in steps])
        taken.exclude(pk__in=known).delete()
    lost = list(rows.running().exclude(pk__in=known))
    for step in lost:
        step.status = Step.Status.FAILED
        step.ended_at = timezone.now()
        step.error = "Its process has ended."
    for step in (*steps, *lost):
        if step.status == Step.Status.FAILED:
            step.state_after = state_left(step.state_before, text)
    _upsert([*steps, *lost])


def _upsert(steps: Sequence[Step]) -> None:
    if steps:
        Step.objects.bulk_create(
            steps, update_conflicts=True, unique_fields=["id"], update_fields=CHANGES
        )


def steps_of(generation: Generation) -> list[Step]:
    """
    Return what was done to give an answer, oldest first; nothing while it waits.

    A plain answer is one step, made up from the generation itself and without
    an id; so is that of an agent that failed before its first.
    """
    if generation.status == Generation.Status.QUEUED or generation.started_at is None:
        return []
    rows = list(generation.steps.order_by("sequence")) if generation.agent else []
    if rows or (generation.agent and not generation.is_terminal):
        return rows
    message = generation.message
    before = history_before(message, limit_chars=HISTORY_CHARS)
    path = [*before, (message.role, message.text)]
    return [_made_up(generation, path, sequence=first_sequence(generation))]


def steps_in(conversation: Conversation) -> list[Step]:
    """Return the steps of all answers of a conversation in their order. See steps_of()."""
    begun = conversation.generations.exclude(started_at=None).exclude(status=Status.QUEUED)
    found: list[Step] = []
    paths = _Paths(conversation)
    for generation in begun.prefetch_related("steps").order_by("id"):
        rows = sorted(generation.steps.all(), key=lambda step: step.sequence)
        if not rows and (not generation.agent or generation.is_terminal):
            sequence = found[-1].sequence + 1 if found else 0
            rows = [_made_up(generation, paths.to(generation.message_id), sequence=sequence)]
        found += rows
    return found


class _Paths:
    """The paths of a conversation's tree, without a query for each of them."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._messages: dict[UUID, Message] = {}

    def to(self, message_id: UUID) -> list[tuple[str, str]]:
        """Return role and text of what leads to a message, newest last, as far as it is shown."""
        if not self._messages:
            self._messages = {each.pk: each for each in self._conversation.messages.all()}
        step, left = self._messages.get(message_id), HISTORY_CHARS
        path: list[tuple[str, str]] = []
        while step and (left > 0 or len(path) < 2):
            path.append((step.role, step.text))
            left -= len(step.text)
            step = self._messages.get(step.parent_id) if step.parent_id else None
        return path[::-1]


def _made_up(generation: Generation, path: Sequence[tuple[str, str]], *, sequence: int) -> Step:
    """Return a plain answer as a step; the path ends with its prompt and its text."""
    assert generation.started_at is not None  # Whoever waits has no steps.
    *history, (_, prompt), (_, text) = path
    before = [turn(role, said) for role, said in history if said]
    said = [*before, turn("user", prompt), turn("assistant", text)]
    left = {"prompt": prompt, "chat_history": said, "response": text}
    error = generation.error or {}
    return Step(
        id=None,
        generation=generation,
        sequence=sequence,
        name=ANSWER,
        status=status_of(generation),
        inputs={"prompt": prompt},
        state_before={"chat_history": before},
        state_after=left if generation.is_terminal and text else None,
        result={"response": text} if generation.is_terminal else None,
        error=f"{error['code']}: {error['message']}" if error else "",
        started_at=generation.started_at,
        first_delta_at=generation.first_delta_at,
        ended_at=generation.ended_at,
        calls=1,
        usage=generation.usage,
    )


def status_of(generation: Generation) -> Step.Status:
    """Return the status of the one step that an answer without rows reads as."""
    if not generation.is_terminal:
        return Step.Status.STARTED
    is_done = generation.status == Generation.Status.DONE
    return Step.Status.DONE if is_done else Step.Status.FAILED
