"""How a prompt is accepted: all of it committed, or none and a reason."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils import timezone

from chat.access import check_model
from chat.conf import MAX_IDEMPOTENCY_KEY, chat_settings
from chat.errors import (
    BadRequest,
    IdempotencyConflict,
    NotFound,
    PromptTooLong,
)
from chat.generations import attachments, budgets, continued, told
from chat.generations.asks import Accepted, Ask, Parent
from chat.generations.history import is_withdrawn, newest_end, where_it_hung
from chat.generations.lookups import active_in, standing
from chat.generations.parameters import model_of
from chat.generations.personas import newest_of
from chat.generations.room import MINUTE, check_room, too_fast
from chat.models import Conversation, Generation, Message
from chat.models.kept import end_of_temporary, used_now

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

KEY_LIFETIME = timedelta(hours=24)


def accept(ask: Ask) -> Accepted:
    """
    Save a prompt and its generation; the same key again returns the same rows.

    A unit for `in_transaction()`, to be tried again on IntegrityError: the same
    key was committed a moment ago, and will be found.
    Raise NotFound for ids that are not the user's, BadRequest, PromptTooLong, NotContinuable,
    IdempotencyConflict, QueueFull, RateLimited, UnknownModel, BudgetSpent or
    ImagesNotSupported; nothing is saved then.
    """
    _check_form(ask)
    limit = chat_settings().messages_per_minute
    found = standing(ask.user.pk, key=ask.key, limit=limit, since=timezone.now() - MINUTE)
    if found.has_key and (earlier := _find_by_key(ask)):
        return earlier
    if found.is_too_fast:
        raise too_fast(ask.user, limit)
    prompt, above, is_new_conversation = _place(ask)
    conversation = prompt.conversation
    active = 0 if is_new_conversation else len(active_in(conversation.pk))
    check_room(active, found.running)
    cut = continued.find_cut(ask.answer_id) if ask.answer_id and ask.continues else None
    model = _find_model(ask, conversation, cut)
    budgets.check(ask.user.pk, model)
    if ask.attachments:
        attachments.check_attachments(ask.user, ask.attachments, model)
        prompt.attached = len(set(ask.attachments))
    status = Generation.Status.QUEUED if active else Generation.Status.RUNNING
    generation = Generation(status=status, model=model, continues=cut)
    _add_rows(ask, prompt, above, generation)
    if ask.attachments:
        attachments.link(prompt, ask.attachments)
    if not is_new_conversation:
        Conversation.objects.filter(pk=conversation.pk).update(**used_now(conversation))
    return Accepted(
        generation=generation,
        prompt=prompt,
        position=active,
        is_new_conversation=is_new_conversation,
    )


def _find_model(ask: Ask, conversation: Conversation, cut: Generation | None) -> str:
    asked = ask.model or (cut.model if cut else "")
    model = model_of(conversation, asked=asked, default=ask.default_model)
    check_model(ask.user.pk, model)
    return model


def _place(ask: Ask) -> tuple[Message, list[Message], bool]:
    """Return the prompt, what is to be saved above it, and whether a conversation begins here."""
    if ask.answer_id:
        return _prompt_of_answer(ask.user, ask.answer_id), [], False
    conversation_id = _conversation_of(ask)
    if ask.history is not None and conversation_id is None:
        return _told_prompt(ask, ask.history)
    return _new_prompt(ask, conversation_id), [], conversation_id is None


def _add_rows(ask: Ask, prompt: Message, above: Sequence[Message], generation: Generation) -> None:
    """Save a generation, whose status and model are known, and the messages that belong to it."""
    conversation, cut = prompt.conversation, generation.continues
    answer = Message(conversation=conversation, parent=prompt, role=Message.Role.ASSISTANT)
    if cut is not None:
        answer.text = cut.message.text
    # In bulk, which is half as dear as one by one even where there is but one.
    Message.objects.bulk_create([answer] if ask.answer_id else [*above, prompt, answer])
    generation.owner_id = ask.user.pk
    generation.conversation = conversation
    generation.message = answer
    if generation.status == Generation.Status.RUNNING:
        generation.started_at = timezone.now()
        generation.worker = ask.worker
        generation.epoch = 1 if ask.worker else 0
    if cut is None:
        generation.agent = conversation.agent if ask.agent is None else ask.agent
    generation.idempotency_key = ask.key
    generation.fingerprint = ask.fingerprint
    generation.path_digest = ask.path_digest
    generation.options = dict(ask.options) if ask.options is not None else None
    Generation.objects.bulk_create([generation])


def _check_form(ask: Ask) -> None:
    if not 0 < len(ask.key) <= MAX_IDEMPOTENCY_KEY:
        raise BadRequest(f"An idempotency key has 1 to {MAX_IDEMPOTENCY_KEY} characters.")
    if ask.answer_id:
        return
    if ask.persona_id and ask.conversation_id:
        raise BadRequest("persona: only a new conversation begins with one. Change this one.")
    check_text(ask.text)


def check_text(text: str) -> None:
    """Raise BadRequest or PromptTooLong for what is no prompt."""
    if not text.strip():
        raise BadRequest("text: an empty prompt cannot be answered.")
    size, limit = len(text.encode()), chat_settings().max_prompt_bytes
    if size > limit:
        raise PromptTooLong(f"The prompt has {size} bytes; at most {limit} are taken.")


def _find_by_key(ask: Ask) -> Accepted | None:
    rows = Generation.objects.select_related("message__parent__conversation")
    found = rows.filter(owner_id=ask.user.pk, idempotency_key=ask.key).first()
    if found is None:
        return None
    prompt = found.message.parent
    assert prompt is not None  # Every answer has a prompt.
    if timezone.now() - found.created_at > KEY_LIFETIME or prompt.conversation.is_gone:
        Generation.objects.filter(pk=found.pk).update(idempotency_key=None)
        return None
    if found.fingerprint != ask.fingerprint:
        raise IdempotencyConflict
    return Accepted(generation=found, prompt=prompt, position=found.queue_position(), is_new=False)


def _new_prompt(ask: Ask, conversation_id: UUID | None) -> Message:
    """Return the prompt as it is to be saved, in its conversation, which is."""
    if conversation_id is None:
        conversation, parent = _new_conversation(ask, ask.text), None
    else:
        conversation = _lock(ask.user, conversation_id)
        parent = _find_parent(ask, conversation)
        if not conversation.title:
            conversation.title = told.title_from(ask.text)
            conversation.title_is_first_words = _may_be_named(ask, conversation)
            conversation.save(update_fields=["title", "title_is_first_words"])
    return Message(conversation=conversation, parent=parent, role=Message.Role.USER, text=ask.text)


def _conversation_of(ask: Ask) -> UUID | None:
    if ask.client_id is None or ask.conversation_id is not None:
        return ask.conversation_id
    return Conversation.objects.owned_by(ask.user).id_of(ask.client_id)


def _new_conversation(ask: Ask, first_words: str) -> Conversation:
    conversation = Conversation(
        owner_id=ask.user.pk,
        client_id=ask.client_id,
        title=told.title_from(first_words),
        model=ask.model,
        agent=ask.agent or "",
        persona_version=newest_of(ask.user, ask.persona_id) if ask.persona_id else None,
        temporary=ask.temporary,
        deleted_at=end_of_temporary() if ask.temporary else None,
    )
    conversation.title_is_first_words = _may_be_named(ask, conversation)
    Conversation.objects.bulk_create([conversation])
    return conversation


def _may_be_named(ask: Ask, conversation: Conversation) -> bool:
    """Whether a model may give it a title: not what is in no list, or named by its client."""
    return not conversation.temporary and conversation.client_id is None and ask.history is None


def _told_prompt(ask: Ask, history: Sequence[told.Turn]) -> tuple[Message, list[Message], bool]:
    """Go on below the answer that the client tells of, or begin with all that it tells."""
    # Who has a name for a new conversation does not mean another.
    is_named = ask.client_id is not None
    answer, rest = (None, history) if is_named else told.find_answer(ask.user.pk, history)
    if answer is not None:
        conversation = _lock(ask.user, answer.conversation_id)
        if active_in(conversation.pk):
            answer = None  # Requests at the same time are answered at the same time.
    if answer is None:
        conversation, rest = _new_conversation(ask, told.first_words(history, ask.text)), history
    *above, prompt = told.messages(conversation, answer, [*rest, (Message.Role.USER, ask.text)])
    return prompt, above, answer is None


def _find_parent(ask: Ask, conversation: Conversation) -> Message | None:
    if isinstance(ask.parent_id, Parent):
        return newest_end(conversation)
    if ask.parent_id is None:
        return None
    found = conversation.messages.select_related("generation").filter(pk=ask.parent_id)
    parent = found.first()
    if parent is None:
        raise NotFound
    if is_withdrawn(parent):
        return where_it_hung(parent)
    if parent.role == Message.Role.USER and parent.children.exists():
        raise BadRequest("parent: name an answer, or null to begin at the root.")
    return parent


def _prompt_of_answer(user: "AbstractBaseUser", answer_id: UUID) -> Message:
    answers = Message.objects.owned_by(user).select_related("parent")
    answer = answers.filter(pk=answer_id).first()
    if answer is None:
        raise NotFound
    if answer.role != Message.Role.ASSISTANT or answer.parent is None:
        raise BadRequest("message: only an answer can be given again. Name the assistant's.")
    answer.parent.conversation = _lock(user, answer.conversation_id)
    return answer.parent


def _lock(user: "AbstractBaseUser", conversation_id: UUID) -> Conversation:
    # Who holds the row decides alone what runs next in it. SQLite has locked the file already.
    owned = Conversation.objects.owned_by(user).select_for_update()
    conversation = owned.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation
