"""The tests' settings, for sites whose sessions are short and are looked at often."""

from tests.settings import *  # noqa: F403

SESSION_COOKIE_AGE = 5
INSTALLED_APPS = [*INSTALLED_APPS, "tests.guarantees.quick_recheck.QuickRecheck"]  # noqa: F405
