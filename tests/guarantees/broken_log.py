"""An event log with a defect: reading on past the third event of a generation fails."""

from uuid import UUID

from chat.eventlog.memory import MemoryEventLog
from chat.events import Event

DEFECT = "a defect in reading"
INTACT_UNTIL = 3


class BrokenLog(MemoryEventLog):
    async def read(self, generation_id: UUID, *, after: int, block: float) -> list[Event]:
        if after >= INTACT_UNTIL:
            raise ValueError(DEFECT)
        events = await super().read(generation_id, after=after, block=block)
        return [event for event in events if event.cursor <= INTACT_UNTIL]
