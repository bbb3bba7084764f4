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
from chat.models import Generation, Step

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
    return [_made_up(generation)]


def _made_up(generation: Generation) -> Step:
    assert generation.started_at is not None  # Whoever waits has no steps.
    message = generation.message
    *history, (_, prompt) = history_before(message, limit_chars=HISTORY_CHARS)
    before = [turn(role, text) for role, text in history]
    said = [*before, turn("user", prompt), turn("assistant", message.text)]
    left = {"prompt": prompt, "chat_history": said, "response": message.text}
    error = generation.error or {}
    return Step(
        id=None,
        generation=generation,
        sequence=first_sequence(generation),
        name=ANSWER,
        status=status_of(generation),
        inputs={"prompt": prompt},
        state_before={"chat_history": before},
        state_after=left if generation.is_terminal and message.text else None,
        result={"response": message.text} if generation.is_terminal else None,
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
