"""The AI SDK's WebSocket transport: a thin reader of event logs, in its frames alone."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from chat import ai_chats
from chat.conf import chat_settings
from chat.errors import BadRequest, ChatError, InternalError, RateLimited
from chat.eventlog import event_log
from chat.generations import stop_generation
from chat.identity import identify_caller
from chat.models import Generation
from chat.patience import Patience
from chat.sockets import TOO_SLOW, Socket
from chat.wire import ai_sdk
from chat.wire.ai_request import AbortFrame, Frame, ResumeFrame, SendFrame, parse_frame
from chat.wire.parse import parse_object

logger = logging.getLogger(__name__)

INVALID = 1008
MAX_ANSWERS = 64  # That are read over one socket at a time.


class AiConsumer(Socket):
    """
    Ask and read any number of answers over one socket, each named by its request.

    The client ends its connection at a frame of a type that it does not know,
    so nothing else is sent: no greeting, no news, no pings.
    """

    identify = staticmethod(identify_caller)

    async def connect(self) -> None:
        self.lane: list[Frame] = []
        self.answers: dict[str, Generation] = {}  # What is read here, by its request.
        self.stopped: set[str] = set()  # Requests that wait, and are not wanted any more.
        await self.accept()

    def add_news(self, frame: Mapping[str, Any]) -> None:
        """Tell nothing."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.reader.revoked:
            return
        content: dict[str, Any] = {}
        try:
            if text_data is None:
                raise BadRequest("Send JSON as text frames, not binary ones.")
            content = parse_object(text_data)
            frame = parse_frame(content)
            if isinstance(frame, AbortFrame):
                self.spawn(self.stop(frame.requestId))
            else:
                self.enter(self.lane, frame)
        except ChatError as exc:
            request_id = content.get("requestId")
            if not isinstance(request_id, str):
                await self.close(INVALID)  # Nobody could be told.
                return
            await self.send_error(request_id, exc)

    async def handle(self, frame: Frame) -> None:
        try:
            if frame.requestId not in self.stopped:
                await self.answer(frame)
        except ChatError as exc:
            await self.send_error(frame.requestId, exc)
        except Exception:
            logger.exception("A frame of the AI SDK could not be handled")
            await self.send_error(frame.requestId, InternalError())
        self.stopped.discard(frame.requestId)

    async def answer(self, frame: Frame) -> None:
        user, request_id = self.identity.user, frame.requestId
        if len(self.answers) >= MAX_ANSWERS:
            raise RateLimited(f"{MAX_ANSWERS} answers are read over one socket at most.")
        match frame:
            case SendFrame():
                accepted = await ai_chats.ask(user, frame.request, key=frame.key)
                await self.follow(request_id, accepted.generation)
            case ResumeFrame():
                generation = await ai_chats.find_running(user, frame.id)
                if generation is None:
                    await self.send(ai_sdk.frame("no-active", request_id))
                    return
                await self.follow(request_id, generation, seen=frame.lastSequence)

    async def send_error(self, request_id: str, error: ChatError) -> None:
        await self.send(ai_sdk.frame("error", request_id, errorText=str(error)))

    async def stop(self, request_id: str) -> None:
        """End what a request reads, and stop the answer itself: that is what the frame says."""
        generation = self.answers.get(request_id)
        if generation is None:
            waiting = {frame.requestId for frame in self.lane}
            self.stopped |= {request_id} & waiting
            return
        self.unfollow(request_id)
        try:
            await stop_generation(generation)
        except ChatError as exc:
            logger.warning("Generation %s is not stopped yet: %s", generation.pk, exc)

    # Reading --------------------------------------------------------------

    async def follow(
        self, request_id: str, generation: Generation, *, seen: int | None = None
    ) -> None:
        self.unfollow(request_id)
        self.answers[request_id] = generation
        if request_id in self.stopped:
            await self.stop(request_id)
            return
        await self.send(ai_sdk.frame("start", request_id))
        head = ai_sdk.Head(
            conversation=str(generation.conversation_id), generation=str(generation.pk)
        )
        encoder = ai_sdk.FrameEncoder(head, request_id, seen=-1 if seen is None else seen)
        self.readers[request_id] = self.spawn(self.relay(request_id, generation, encoder))

    def unfollow(self, request_id: str) -> None:
        self.answers.pop(request_id, None)
        if reader := self.readers.pop(request_id, None):
            reader.cancel()

    async def relay(
        self, request_id: str, generation: Generation, encoder: ai_sdk.FrameEncoder
    ) -> None:
        settings = chat_settings()
        try:
            batches = event_log().follow(generation.pk, heartbeat=settings.heartbeat_seconds)
            async with aclosing(batches), Patience(settings.slow_reader_seconds) as patience:
                async for batch in batches:
                    for text in encoder.encode(batch):
                        patience.begin()
                        await self.send(text)
                        patience.end()
            await self.send(ai_sdk.frame("end", request_id))
        except ChatError as exc:
            await self.send_error(request_id, exc)
        except TimeoutError:
            await self.close(TOO_SLOW)
        except Exception:
            logger.exception("A reader of generation %s failed", generation.pk)
            await self.send_error(request_id, InternalError())
        finally:
            if self.readers.get(request_id) is asyncio.current_task():
                self.readers.pop(request_id)
                self.answers.pop(request_id, None)
