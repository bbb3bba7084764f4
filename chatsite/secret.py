"""The secret key of a site whose operator has set none: made once, kept in the data folder."""

import os
import secrets
from pathlib import Path


def keep_secret_key(data_dir: Path) -> str:
    """
    Return the key stored in ``data_dir``, creating it (mode 0600) the first time.

    Two processes that start together agree: the one that creates the file wins.
    """
    path = data_dir / "secret_key"
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f".secret_key.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(64))
    try:
        os.link(draft, path)  # Unlike a rename, this fails where the file exists.
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()
