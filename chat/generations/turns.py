"""
Units of database work on accepted generations: claim, save, end.

Each function is one unit for `in_transaction()`. Every change is guarded by
the status and the epoch it starts from, so that of two that race one wins and
the other sees it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from chat.chain import CHARACTERS_PER_TOKEN
from chat.eventlog import event_log
from chat.events import Event, EventKind
from chat.generations import continued, lookups, provenance, steps, timing, usage
from chat.generations.end import End
from chat.generations.history import history_before, split_system
from chat.generations.parameters import in_force
from chat.generations.workers import worker_id
from chat.llm import served
from chat.llm.vision import takes_images
from chat.models import Generation, Message

Status = Generation.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A claimed generation with all that its writer needs."""

    generation_id: UUID
    epoch: int
    conversation_id: UUID
    owner_id: Any
    message_id: UUID
    model: str
    history: Sequence[tuple[str, str]]
    prompt: str
    system: str | None = None  # What the conversation itself tells the model; None: the site's.
    options: Mapping[str, Any] = field(default_factory=dict)
    agent: str = ""  # Who answers instead of the model by itself.
    is_untitled: bool = False  # Its conversation has no title but its first words.
    first_sequence: int = 0  # Of its steps.
    saved_text: str = ""  # Of an earlier writer, as far as it was saved apart from the log.
    stored: Sequence[Event] = ()  # What the log has of it already.
    continues: UUID | None = None  # The answer that it goes on from.
    kept: str = ""  # The text of that answer, with which its own begins.

    @property
    def started(self) -> dict[str, Any]:
        """The data of its first event."""
        data: dict[str, Any] = {"model": self.model, "message": str(self.message_id)}
        if self.agent:
            data["agent"] = self.agent
        if self.continues:
            data |= {"continues": str(self.continues), "kept": len(self.kept)}
        return data


def load_run(generation: Generation) -> Run:
    """Return what the writer of a claimed generation needs."""
    # Generous for prose; the chain trims to the model's exact bound.
    tokens = served.context_of(generation.model)
    *history, (_, prompt) = history_before(
        generation.message,
        limit_chars=CHARACTERS_PER_TOKEN * tokens,
        images=takes_images(generation.model),
    )
    told, history = split_system(history)
    conversation = generation.conversation
    system, options = in_force(
        conversation, model=generation.model, told=told, asked=generation.options
    )
    cut, saved = continued.answer_before(generation), generation.message.text
    if cut is not None:
        history, prompt = continued.told(history, prompt, cut.text, system=system, tokens=tokens)
    return Run(
        generation_id=generation.pk,
        epoch=generation.epoch,
        conversation_id=generation.conversation_id,
        owner_id=generation.owner_id,
        message_id=generation.message_id,
        model=generation.model,
        history=history,
        prompt=prompt,
        system=system,
        options=options,
        agent=generation.agent,
        is_untitled=conversation.title_is_first_words,
        first_sequence=steps.first_sequence(generation) if generation.agent else 0,
        saved_text="" if cut is not None and saved == cut.text else saved,
        continues=cut.pk if cut is not None else None,
        kept=cut.text if cut is not None else "",
    )


def begin_run(generation: Generation) -> Run:
    """Return what the writer of a generation claimed for the first time needs, its log begun."""
    run = load_run(generation)
    event = Event.create(cursor=1, kind=EventKind.STARTED, data=run.started)
    if event_log().store_first(run.generation_id, epoch=run.epoch, event=event):
        run = replace(run, stored=[event])
    return run


def claim_next(conversation_id: UUID, *, own: bool = True) -> Run | None:
    """
    Claim the first in the queue of a conversation, unless one runs there already.

    Without ``own`` it is nobody's yet: whoever is to run it has to claim it.
    """
    lookups.lock(conversation_id)
    active = lookups.active_in(conversation_id)
    if not active or any(status == Status.RUNNING for _, status in active):
        return None
    generation = Generation.objects.select_related("conversation").get(pk=active[0][0])
    generation.status = Status.RUNNING
    generation.started_at = timezone.now()
    if own:
        _own(generation)
        return begin_run(generation)
    generation.save(update_fields=["status", "started_at"])
    return load_run(generation)


def claim_orphan(generation_id: UUID, *, of: UUID | None) -> tuple[Run, bool] | None:
    """
    Claim a running generation from the worker that it belongs to.

    From then on that worker can write nothing. Return it, and whether it is to
    be stopped; None if it has ended or somebody else was faster.
    """
    running = Generation.objects.running().select_for_update(of=("self",))
    generation = running.filter(pk=generation_id, worker=of).first()
    if generation is None:
        return None
    _own(generation)
    return load_run(generation), generation.stop_requested_at is not None


def give_up(generation_id: UUID, epoch: int) -> bool:
    """Leave a running generation to nobody. Return False if it has ended, or is another's."""
    owned = Generation.objects.running().filter(pk=generation_id, epoch=epoch)
    return bool(owned.update(worker=None))


def _own(generation: Generation) -> None:
    generation.worker = worker_id()
    generation.epoch += 1
    generation.save(update_fields=["status", "started_at", "worker", "epoch"])


def save_progress(progress: Iterable[tuple[Run, str, str]]) -> None:
    """Save ``(run, text, reasoning)`` of answers being written, unless another writes them now."""
    progress = list(progress)
    running = Generation.objects.running().filter(
        pk__in=[run.generation_id for run, *_ in progress]
    )
    # Locked, and not merely looked at: an end that is committed in this very moment would
    # be overwritten by the text of a second ago.
    locked = running.select_for_update(no_key=True).order_by("id").values_list("pk", "epoch")
    epochs: dict[UUID, int] = dict(locked)
    for run, text, reasoning in progress:
        if epochs.get(run.generation_id) == run.epoch:
            Message.objects.filter(pk=run.message_id).update(text=text, reasoning=reasoning)


def end_run(run: Run, end: End) -> bool:
    """
    Save the end of a running generation and its text.

    Return False if it had ended before, or belongs to a later epoch. Saying
    the same end again is no mistake: a commit's answer may have been lost.
    """
    owned = Generation.objects.filter(pk=run.generation_id, epoch=run.epoch)
    facts = end.facts
    changed = owned.running().update(
        status=end.status,
        ended_at=timezone.now(),
        cursor=end.cursor,
        first_delta_at=facts.first_delta_at,
        finish_reason=facts.finish_reason,
        usage=facts.usage,
        error=facts.error,
    )
    if changed:
        Message.objects.filter(pk=run.message_id).update(text=end.text, reasoning=end.reasoning)
        if run.agent:
            steps.close(run.generation_id, facts.steps, text=end.text)
        timing.save(
            run.generation_id, facts.marks, length=len(end.text), thought_ms=facts.thought_ms
        )
        provenance.save(run, usage.add(run, end))
    return bool(changed) or owned.filter(status=end.status, cursor=end.cursor).exists()


def end_unlogged(generation_id: UUID, epoch: int, status: Status) -> bool:
    """End a running generation whose events are lost; the text saved so far stays."""
    orphan = Generation.objects.running().filter(pk=generation_id, epoch=epoch)
    changed = orphan.update(status=status, ended_at=timezone.now())
    if changed:
        text = Message.objects.values_list("text", flat=True).get(generation=generation_id)
        steps.close(generation_id, text=text)
    return bool(changed)


def stop_queued(generation_id: UUID) -> bool:
    """
    End a generation that waits. Return False if it does not wait any more.

    Its prompt stays in the tree, but what was queued behind it now follows
    what it followed: the model is not told of a prompt that was withdrawn.
    """
    queued = Generation.objects.queued().filter(pk=generation_id)
    for conversation_id in queued.values_list("conversation_id", flat=True):
        lookups.lock(conversation_id)  # Nobody puts it in another place meanwhile.
    if not queued.update(status=Status.STOPPED, ended_at=timezone.now(), cursor=1):
        return False
    answer = Message.objects.select_related("parent").get(generation=generation_id)
    assert answer.parent is not None  # Every answer has a prompt.
    answer.children.update(parent_id=answer.parent.parent_id)
    if answer.text:  # That of the answer it was to go on from; its own log has none.
        Message.objects.filter(pk=answer.pk).update(text="")
    return True


def request_stop(generation_id: UUID) -> bool:
    """Ask the worker of a running generation to stop it. Return False if it does not run."""
    running = Generation.objects.running().filter(pk=generation_id)
    return bool(running.update(stop_requested_at=timezone.now()))
