"""Settings of a site whose application does to the server what a chat must not be hurt by."""

from tests.settings import *  # noqa: F403

ASGI_APPLICATION = "tests.flood.application"


class Flood:
    """Sends as fast as it may; ``/sent`` tells how much that was."""

    def __init__(self) -> None:
        self.sent = 0

    async def startup(self) -> None:
        pass

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await self.flood(send, {"type": "websocket.send", "text": "x" * 65536})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            if scope["path"] == "/flood":
                part = {"type": "http.response.body", "body": b"x" * 65536, "more_body": True}
                await self.flood(send, part)
            elif scope["path"] == "/defect":
                await send({"type": "http.response.body", "body": b"half", "more_body": True})
                raise ValueError("a defect in mid-answer")
            await send({"type": "http.response.body", "body": str(self.sent).encode()})

    async def flood(self, send, message) -> None:
        for _ in range(2000):
            await send(message)
            self.sent += 65536


application = Flood()
