"""Looks at open readers every second, where a real site would take half a minute."""

from django.apps import AppConfig

SECONDS = 1.0


class QuickRecheck(AppConfig):
    name = "tests.guarantees"
    label = "quick_recheck"

    def ready(self) -> None:
        from chat import readers

        assert SECONDS < readers.RECHECK_SECONDS <= 30
        readers.RECHECK_SECONDS = SECONDS
