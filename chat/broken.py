"""Answers that are broken off: some clients know by nothing else that one is not whole."""

from typing import Any

_KEY = "chat.broken_off"


def break_off(scope: dict[str, Any]) -> None:
    """Let the response to this request have no end. Its stream must end right after."""
    scope[_KEY] = True


class BrokenAnswers:
    """
    ASGI middleware: keep the end of a response that is broken off from the server.

    Which then sees that the response has not ended, and closes the connection.
    It stands next to what it wraps, as the scope must be the very same.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_unless_broken(message: Any) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if not (is_last and _KEY in scope):
                await send(message)

        await self.app(scope, receive, send_unless_broken)
