"""
Conversations whose client tells all of them with each prompt, and names none.

The (role, text) list up to and including a prompt has a digest, which is kept
with the generation that answers it. When the same list comes again, followed
by that very answer, the conversation goes on below it.
"""

import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chat.events import encode_json
from chat.models import Conversation, Generation, Message

Turn = tuple[str, str]  # Role and text.

TITLE_LENGTH = 60
MAX_CANDIDATES = 20  # How many answers to the same list are compared.


def digest(turns: Sequence[Turn]) -> str:
    """Return the SHA-256 that names a list of turns."""
    return hashlib.sha256(
        encode_json([[str(role), text] for role, text in turns]).encode()
    ).hexdigest()


def find_answer(
    owner_id: Any, turns: Sequence[Turn], *, within: UUID | None = None
) -> tuple[Message | None, Sequence[Turn]]:
    """
    Return the newest answer of this owner that the turns tell of, and what follows it there.

    With ``within`` only answers of that conversation count.
    """
    places = [i for i, (role, _) in enumerate(turns) if role == Message.Role.ASSISTANT]
    if not places:
        return None, turns
    last = places[-1]
    told = Generation.objects.filter(owner_id=owner_id, path_digest=digest(turns[:last]))
    asked = told.alive()
    if within is not None:
        asked = asked.filter(conversation_id=within)
    answer = turns[last][1].strip()  # Some clients trim what they keep.
    for generation in asked.select_related("message").order_by("-id")[:MAX_CANDIDATES]:
        if generation.is_terminal and generation.message.text.strip() == answer:
            return generation.message, turns[last + 1 :]
    return None, turns


def messages(
    conversation: Conversation, parent: Message | None, turns: Sequence[Turn]
) -> list[Message]:
    """Return the turns as a branch below a message, to be saved in this order."""
    branch = []
    for role, text in turns:
        parent = Message(conversation=conversation, parent=parent, role=role, text=text)
        branch.append(parent)
    return branch


def first_words(turns: Sequence[Turn], prompt: str) -> str:
    """Return what a person has said first."""
    return next((text for role, text in turns if role == Message.Role.USER), prompt)


def title_from(text: str) -> str:
    """Return the first words of a prompt, on one line."""
    title = " ".join(text.split())
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"
