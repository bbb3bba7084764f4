import asyncio
import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from chat import drain, garbage
from chat.conf import chat_settings
from chat.generations import engine, recover
from chat.lifecycle import end_runs
from chat.llm.registry import default_model, warm_up


class Command(BaseCommand):
    help = (
        "Write the answers that web processes accept, until SIGINT or SIGTERM. "
        "Run as many of these as there is work for. Needs CHAT_ENGINE=procrastinate."
    )

    def handle(self, **options: Any) -> None:
        try:
            asyncio.run(self._work())
        except ImproperlyConfigured as exc:
            raise CommandError(f"{exc} Set CHAT_ENGINE=procrastinate to have workers.") from exc

    async def _work(self) -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop() -> None:
            drain.signalled()  # The second one does not wait for running answers.
            stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        model = await default_model()
        await warm_up()
        garbage.begin(lambda: engine().is_busy)
        await recover()
        limit = chat_settings().worker_concurrency
        self.stdout.write(f"Worker    up to {limit} answers at once\nModel     {model}")
        self.stdout.flush()
        try:
            await engine().work(stopping)
        finally:
            await end_runs()
