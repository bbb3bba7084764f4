"""What an answer is related to: its conversation's other answers, and forks, both ways."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models.functions import Left

from chat.models import Conversation, Generation, Message, Step

EXCERPT = 120
MAX_RELATED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a conversation was forked from. The step is None if a message was named."""

    conversation: Conversation
    message: Message
    step: Step | None
    generation: Generation | None  # Whose trace shows it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    origin: Origin | None
    forks: Sequence[Conversation]
    answers: Sequence[Generation]  # The newest ones, each with ``prompt``, an excerpt.
    has_earlier: bool


def family_of(generation: Generation) -> Family:
    conversation = generation.conversation
    answers = (
        Generation.objects.filter(conversation=conversation)
        .annotate(prompt=Left("message__parent__text", EXCERPT))
        .select_related("message")
        .defer("message__text", "message__reasoning", "usage", "options")
        .order_by("-pk")[: MAX_RELATED + 1]
    )
    found = list(answers)
    return Family(
        origin=origin_of(conversation),
        forks=_forks_of(conversation),
        answers=found[:MAX_RELATED][::-1],
        has_earlier=len(found) > MAX_RELATED,
    )


def origin_of(conversation: Conversation) -> Origin | None:
    if conversation.forked_from_id is None:
        return None
    messages = Message.objects.select_related("conversation", "generation")
    message = messages.defer("text", "reasoning").get(pk=conversation.forked_from_id)
    if message.conversation.is_gone:
        return None
    step = conversation.forked_at_step
    generation = getattr(message, "generation", None)
    if step is not None:
        generation = step.generation
    return Origin(
        conversation=message.conversation, message=message, step=step, generation=generation
    )


def _forks_of(conversation: Conversation) -> list[Conversation]:
    forks = Conversation.objects.alive().filter(forked_from__conversation=conversation)
    steps = ("forked_at_step__id", "forked_at_step__sequence", "forked_at_step__name")
    related = forks.select_related("forked_at_step").only(
        "id", "title", "created_at", "forked_from_id", *steps
    )
    return list(related.order_by("pk")[:MAX_RELATED])
