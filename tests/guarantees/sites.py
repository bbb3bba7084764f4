"""Sites with secrets that can be looked for, and people who are signed in."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.guarantees.clients import Person
from tests.servers import DaphneSite, PostgresServer, Site, UvicornSite

# What must never be seen again outside the request that needs it.
UPSTREAM_KEY = "sk-canaryupstream0123456789"
SECRET_KEY = "canary-secret-key-" + "0123456789" * 5
CANARIES = (UPSTREAM_KEY, SECRET_KEY)

WIDE_LIMITS = {
    "CHAT_MESSAGES_PER_MINUTE": "100000",
    "CHAT_MAX_RUNNING_PER_USER": "100",
    "CHAT_MAX_READERS_PER_USER": "200",
}

SIGN_UP = """
import json
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from chat.models import ApiKey

def sign_up(name, staff):
    users = get_user_model().objects
    create = users.create_superuser if staff else users.create_user
    user = create(username=name, password="correct horse")
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store.set_expiry(86_400)
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return {"name": name, "key": ApiKey.objects.create_key(user)[1], "session": store.session_key}

people = [sign_up(name, name == "root") for name in NAMES]
print("PEOPLE", json.dumps(people))
"""


def sign_up(site: Site, *names: str) -> list[Person]:
    """Make accounts, each with a key and a session; the one named root administers."""
    printed = site.run(f"NAMES = {names!r}\n{SIGN_UP}")
    rows = json.loads(re.search(r"PEOPLE (.*)", printed)[1])  # type: ignore[index]
    return [Person(site, **row) for row in rows]


class People:
    """Who has signed up on a site: two strangers to each other, and its administrator."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.ada, self.bob, self.root = sign_up(site, "ada", "bob", "root")

    def close(self) -> None:
        for person in (self.ada, self.bob, self.root):
            person.http.close()
            person.browser.close()


@contextmanager
def site_with_people(
    *,
    expect_errors: bool = False,
    upstream: Any = None,
    kind: type[Site] = DaphneSite,
    **env: Any,
) -> Iterator[tuple[Any, People]]:
    """
    Serve a site with wide limits; ``env`` overrides.

    In the end its log must hold no secret and, unless told otherwise, no error.
    """
    secrets = {"OPENAI_API_KEY": UPSTREAM_KEY, "SECRET_KEY": SECRET_KEY}
    with kind(upstream=upstream, env=WIDE_LIMITS | secrets | env) as site:
        people = People(site)
        try:
            yield site, people
        finally:
            people.close()
        leaked = [secret for secret in CANARIES if secret in site.output]
        assert not leaked, f"The log of the site holds {leaked}"
        _, found, error = site.output.partition(" ERROR ")
        assert expect_errors or not found, error[:8000]


@contextmanager
def two_processes(
    postgres: PostgresServer,
    database: str,
    *,
    kinds: tuple[type[Site], type[Site]] = (DaphneSite, UvicornSite),
    **env: Any,
) -> Iterator[tuple[Any, Any]]:
    """Serve a site with wide limits by two processes, on a new PostgreSQL database."""
    both = {
        "DATABASE_URL": postgres.create_database(database),
        "SECRET_KEY": "the same in both of them, and long enough for the checks to accept it",
    }
    options = {"env": WIDE_LIMITS | both | env}
    with kinds[0](**options) as one, kinds[1](upstream=one.upstream, **options) as two:
        yield one, two


def database_path(site: Site) -> Path:
    return site.data_dir / "db.sqlite3"


def asked(site: Site, prompt: str) -> list[dict[str, Any]]:
    """Return the model server's journal entries for a prompt, oldest first."""
    return [
        entry
        for entry in list(site.upstream.journal)
        if entry["body"]["messages"][-1]["content"] == prompt
    ]
