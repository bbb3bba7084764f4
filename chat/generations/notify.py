"""News for a user's other tabs and sockets: small, repeatable, never the answer itself."""

from typing import Any

from chat.bus import bus


async def notify(user_id: Any, frame: dict[str, Any]) -> None:
    """
    Tell every socket of a user, in every process. At most once.

    A lost frame costs a stale sidebar until the next load.
    """
    await bus().publish("news", user=str(user_id), frame=frame)


async def notify_conversation(
    user_id: Any, conversation_id: Any, change: str, **fields: Any
) -> None:
    """Tell that a conversation was created, updated or deleted."""
    await notify(user_id, {"id": str(conversation_id), "change": change, **fields})
