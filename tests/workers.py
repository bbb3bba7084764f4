"""Settings of a site whose event log claims to serve several processes, as its default may not."""

import os

from chat.eventlog.memory import MemoryEventLog
from tests.settings import *  # noqa: F403

ASGI_APPLICATION = os.environ.get("ASGI", "chatsite.asgi.application")
CHAT = {"EVENT_LOG": "tests.workers.ClaimingEventLog", "MODEL": "demo"}


class ClaimingEventLog(MemoryEventLog):
    """Enough for tests that do not stream from one process to another."""

    supports_many_processes = True
