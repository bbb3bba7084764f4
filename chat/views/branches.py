"""Which messages a page shows: the end of one branch, or as much of it as was asked for."""

from uuid import UUID

from chat.models import Conversation, Generation, Message, load_files

WINDOW = 100  # Messages; "show earlier" adds as many again.
MAX_WINDOWS = 1000


def window_of(
    conversation: Conversation | None, windows: str, *, leaf: UUID | None = None
) -> tuple[list[Message], int, bool]:
    """
    Return the messages, how many windows they fill, and whether there are earlier ones.

    ``windows`` is what the page's address says of that.
    """
    count = min(int(windows), MAX_WINDOWS) if windows.isdecimal() and len(windows) < 10 else 1
    if conversation is None:
        return [], count, False
    messages, more = branch_of(conversation, limit=WINDOW * count, leaf=leaf)
    return messages, count, more


def branch_of(
    conversation: Conversation, *, limit: int, leaf: UUID | None = None
) -> tuple[list[Message], bool]:
    """
    Return the last messages from the root to a leaf, or the newest, and whether there are more.

    Two queries, whatever the length: the tree's bare ids first, the texts of
    the branch second.
    """
    branch = conversation.messages.branch(leaf, limit=limit + 1)
    rows = conversation.messages.filter(pk__in=branch[:limit]).exclude(role=Message.Role.SYSTEM)
    messages = list(rows.order_by("id").select_related("generation"))
    if leaf is None and messages and _was_taken_back(messages[-1]):
        kept = conversation.messages.newest_kept()
        return branch_of(conversation, limit=limit, leaf=kept or messages[-1].pk)
    load_files(messages)
    return messages, len(branch) > limit


def _was_taken_back(message: Message) -> bool:
    generation: Generation | None = getattr(message, "generation", None)
    return (
        generation is not None
        and generation.status == Generation.Status.STOPPED
        and generation.started_at is None
    )
