"""What a client wants, and what was made of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from chat.generations import told
from chat.models import Generation, Message

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class Parent(Enum):
    NEWEST = "newest"  # The newest answer of the conversation, whatever it is by then.


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a client wants: a prompt answered, or, with ``answer_id``, an answer given again."""

    user: "AbstractBaseUser"
    key: str
    default_model: str
    model: str = ""  # As the client named it; a new conversation keeps it.
    agent: str | None = None  # None: the conversation's own. Empty: none, for this answer.
    text: str = ""
    conversation_id: UUID | None = None
    client_id: str | None = None  # What a dialect's client calls a conversation, new or not.
    parent_id: UUID | Parent | None = Parent.NEWEST
    answer_id: UUID | None = None
    continues: bool = False  # Gone on from, and not given anew: that answer broke off.
    worker: UUID | None = None  # The process that runs it, if nothing has to be waited for.
    temporary: bool = False  # A new conversation is deleted when it is not used any more.
    # All that went before the prompt, from a client that tells it with each prompt.
    # Its conversation, where there is one already, goes on; else it is saved as a new one.
    history: Sequence[told.Turn] | None = None
    options: Mapping[str, Any] | None = None  # Those of `chat.llm.streaming`, and ``stop``.
    attachments: Sequence[UUID] = ()  # Files that were uploaded before.
    persona_id: UUID | None = None  # What a new conversation begins with.

    @property
    def fingerprint(self) -> str:
        content = (self.text, self.conversation_id, self.parent_id, self.answer_id)
        choices = [self.model, self.agent or ""]
        if self.client_id is not None:
            choices.append(self.client_id)
        if self.temporary:
            choices.append("temporary")
        if self.continues:
            choices.append("continues")
        if self.attachments:
            choices.append(f"attachments {[*map(str, self.attachments)]}")
        if self.persona_id:
            choices.append(f"persona {self.persona_id}")
        if self.history is not None or self.options is not None:
            choices += [repr(self.path_digest), repr(self.options)]
        return hashlib.sha256(repr((*map(str, content), *choices)).encode()).hexdigest()

    @property
    def path_digest(self) -> str | None:
        """What will recognise the conversation when its client tells it again."""
        if self.history is None:
            return None
        return told.digest([*self.history, (Message.Role.USER, self.text)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was committed. ``position`` is 0 when it runs at once, else its place in the queue."""

    generation: Generation
    prompt: Message
    position: int
    is_new: bool = True
    is_new_conversation: bool = False
