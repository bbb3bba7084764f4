"""The native WebSocket: a thin reader of event logs, and the door for frames."""

import logging
from contextlib import aclosing
from typing import Any
from uuid import UUID

from chat.conf import MAX_FRAME_BYTES, chat_settings
from chat.database import in_database
from chat.errors import (
    BadRequest,
    ChatError,
    InternalError,
    NotFound,
    PromptTooLong,
)
from chat.eventlog import event_log
from chat.failpoints import reach
from chat.generations import (
    Accepted,
    Parent,
    is_written_for,
    regenerate,
    start_generation,
    stop_generation,
)
from chat.generations.queue import change_queued, send_now, withdraw
from chat.models import Generation
from chat.patience import Patience
from chat.sockets import TOO_MANY, TOO_SLOW, Socket
from chat.wire import frames, native

logger = logging.getLogger(__name__)


class ChatConsumer(Socket):
    """
    Follow any number of generations over one socket.

    Channels waits for a handler before it delivers the next message, so no
    handler streams or waits for the database: each frame and each followed
    generation has a task of its own.
    """

    async def connect(self) -> None:
        # Frames of a lane are handled in their order; a prompt that waits for
        # the database does not hold up reading. A stop waits for nobody.
        self.own: set[UUID] = set()  # Generations found to be the user's, or some of them.
        self.prompts: list[frames.ClientFrame] = []
        self.reads: list[frames.ClientFrame] = []
        await self.accept()
        self.spawn(self.greet())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.reader.revoked:
            return
        frame = None
        try:
            if text_data is None:
                raise BadRequest("Send JSON as text frames, not binary ones.")
            if len(text_data) > MAX_FRAME_BYTES:
                raise PromptTooLong(f"A frame has at most {MAX_FRAME_BYTES} bytes.")
            frame = frames.parse_frame(text_data)
            match frame:
                case frames.Stop() | frames.SendNow():
                    self.spawn(self.handle(frame))
                case frames.Send() | frames.Regenerate() | frames.Continue():
                    self.enter(self.prompts, frame)
                case _:
                    self.enter(self.reads, frame)
        except ChatError as exc:
            await self.send_error(exc, frame)

    # Frames ---------------------------------------------------------------

    async def greet(self) -> None:
        try:
            running = await in_database(self._running)
        except ChatError:  # The database is away, as it could have been a moment before.
            await self.close(TOO_MANY)
            return
        self.own.update(UUID(each["generation"]) for each in running)
        user = self.identity.user.get_username()
        await self.send(native.frame("hello", protocol=1, user=user, running=running))
        self.greeted = True
        self.tell_soon()

    def _running(self) -> list[dict[str, str]]:
        active = Generation.objects.owned_by(self.identity.user).active().order_by("message_id")
        rows = active.values_list("pk", "conversation_id", "message_id")
        names = ("generation", "conversation", "message")
        return [dict(zip(names, map(str, row), strict=True)) for row in rows]

    async def handle(self, frame: frames.ClientFrame) -> None:
        try:
            await self.answer(frame)
        except ChatError as exc:
            await self.send_error(exc, frame)
        except Exception:
            logger.exception("A %s frame could not be handled", frame.type)
            await self.send_error(InternalError(), frame)

    async def answer(self, frame: frames.ClientFrame) -> None:
        user = self.identity.user
        match frame:
            case frames.Send() | frames.Regenerate() | frames.Continue():
                await self.send_accepted(frame.id, await self.ask(frame))
            case frames.Follow():
                # Crowds come back to what the greeting names or is written here: without a query.
                known = frame.generation in self.own or is_written_for(user, frame.generation)
                if not known:
                    await self.find(frame.generation)
                self.follow(frame.generation, after=frame.after)
            case frames.Unfollow():
                self.unfollow(frame.generation)
            case frames.Stop():
                await stop_generation(await self.find(frame.generation))
            case frames.Change() | frames.SendNow() | frames.Withdraw():
                await self.arrange(frame)
            case frames.Ping():
                await self.send(native.frame("pong"))

    async def ask(self, frame: frames.PromptFrame) -> Accepted:
        user, key, model = self.identity.user, frame.id, frame.model
        match frame:
            case frames.Regenerate(message=message, agent=agent):
                return await regenerate(user, message_id=message, key=key, model=model, agent=agent)
            case frames.Continue(message=message):
                return await regenerate(
                    user, message_id=message, key=key, model=model, continues=True
                )
        follows = "parent" not in frame.model_fields_set
        return await start_generation(
            user,
            text=frame.text,
            key=key,
            conversation_id=frame.conversation,
            parent_id=Parent.NEWEST if follows else frame.parent,
            model=model,
            agent=frame.agent,
            temporary=frame.temporary,
            attachments=frame.attachments,
            persona_id=frame.persona,
        )

    async def arrange(self, frame: frames.QueueFrame) -> None:
        user, generation_id = self.identity.user, frame.generation
        match frame:
            case frames.Change():
                await change_queued(user, generation_id, text=frame.text, place=frame.place)
            case frames.SendNow():
                await send_now(user, generation_id)
            case frames.Withdraw():
                await withdraw(user, generation_id)

    async def find(self, generation_id: UUID) -> Generation:
        owned = Generation.objects.owned_by(self.identity.user)
        generation = await in_database(owned.filter(pk=generation_id).first)
        if generation is None:
            raise NotFound
        return generation

    async def send_accepted(self, frame_id: str, accepted: Accepted) -> None:
        generation = accepted.generation
        await self.send(
            native.frame(
                "accepted",
                id=frame_id,
                conversation=str(generation.conversation_id),
                message=str(accepted.prompt.pk),
                answer=str(generation.message_id),
                generation=str(generation.pk),
                position=accepted.position,
            )
        )
        reach("after-accept")
        self.follow(generation.pk, after=0)

    async def send_error(
        self,
        error: ChatError,
        frame: frames.ClientFrame | None = None,
        generation: UUID | None = None,
    ) -> None:
        fields: dict[str, Any] = error.as_dict()
        if isinstance(frame, frames.PromptFrame):
            fields["id"] = frame.id
        generation = generation or getattr(frame, "generation", None)
        if generation:
            fields["generation"] = str(generation)
        await self.send(native.frame("error", **fields))

    # Reading --------------------------------------------------------------

    def follow(self, generation_id: UUID, *, after: int) -> None:
        self.unfollow(generation_id)
        self.readers[generation_id] = self.spawn(self.relay(generation_id, after))

    def unfollow(self, generation_id: UUID) -> None:
        if reader := self.readers.pop(generation_id, None):
            reader.cancel()

    async def relay(self, generation_id: UUID, after: int) -> None:
        settings = chat_settings()
        name = str(generation_id)
        try:
            batches = event_log().follow(
                generation_id, after=after, heartbeat=settings.heartbeat_seconds
            )
            async with aclosing(batches), Patience(settings.slow_reader_seconds) as patience:
                async for batch in batches:
                    if not batch:
                        continue  # The socket has pings of its own.
                    patience.begin()
                    await self.send(native.events_frame(name, batch))
                    patience.end()
        except ChatError as exc:
            await self.send_error(exc, generation=generation_id)
        except TimeoutError:
            await self.close(TOO_SLOW)
        except Exception:
            logger.exception("A reader of generation %s failed", generation_id)
            await self.send_error(InternalError(), generation=generation_id)
