"""Which site to talk to, and with which key: by option, environment or file."""

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from chat.terminal.failures import BadConfig

DEFAULT_URL = "http://127.0.0.1:8000"
NO_KEY = (
    "There is no key for {url}. Make one on its account page, then: streamchat login --url {url}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A site's address, without a slash at its end, and a key of one of its users."""

    url: str
    key: str = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the site is on this machine, where no proxy is asked for it."""
        host = urlsplit(self.url).hostname or ""
        with suppress(ValueError):
            return ip_address(host).is_loopback
        return host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the person in front of the terminal wants."""

    model: str = ""
    agent: str | None = None  # None: the conversation's own; empty: none.
    conversation: str = ""  # Its id, or ``last``.
    ask: str | None = None
    quiet: bool = False


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "streamchat.toml"


def find_account(
    *, url: str = "", key: str = "", environ: Mapping[str, str] = os.environ
) -> Account:
    """
    Return the account to use: what is given, else the environment's, else the file's.

    The file's key goes to the file's address only. Raise BadConfig.
    """
    url = url or environ.get("STREAMCHAT_URL", "")
    key = key or environ.get("STREAMCHAT_KEY", "")
    if url and key:
        return Account(url=clean_url(url), key=clean_key(key))
    saved = read_file(config_path(environ))
    url = clean_url(url or (saved.url if saved else DEFAULT_URL))
    if not key and saved and saved.url == url:
        key = saved.key
    if not key:
        raise BadConfig(NO_KEY.format(url=url))
    return Account(url=url, key=clean_key(key))


def clean_url(text: str) -> str:
    """Return an address as it is compared and used. Raise BadConfig."""
    try:
        parts = urlsplit(text.strip())
        # Reading the port checks it.
        known = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        known = False
    if not known or parts.username or parts.query or parts.fragment:
        raise BadConfig(f"{text!r} is no address of a site. Write it like {DEFAULT_URL}")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def clean_key(text: str) -> str:
    """Return a key that can stand in a header. Raise BadConfig, without the key."""
    key = text.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadConfig("The key has characters that no key has. Copy it again, whole.")
    return key


def read_file(path: Path) -> Account | None:
    """Return the saved account, None if there is none. Raise BadConfig."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & 0o077:
                raise BadConfig(f"Others can read the key in {path}. Mend it: chmod 600 {path}")
            values = tomllib.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else exc
        raise BadConfig(f"{path} cannot be read: {reason}. Make it anew: streamchat login") from exc
    found = (values.get("url"), values.get("key"))
    if not all(isinstance(value, str) for value in found):
        raise BadConfig(f"{path} needs url and key, both as text. Make it anew: streamchat login")
    return Account(url=clean_url(str(found[0])), key=clean_key(str(found[1])))


def save_account(account: Account, path: Path) -> None:
    """Write the file, so that nobody else can read it at any time. Raise OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What JSON writes as a string means the same in TOML.
    lines = [f"url = {json.dumps(account.url)}", f"key = {json.dumps(account.key)}"]
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # Made as 0600.
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
