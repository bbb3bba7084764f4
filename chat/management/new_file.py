"""Writing a file as a whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError


@contextmanager
def new_file(file: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """
    Give a file to write beside ``file``, and put it there when it is whole and on the disk.

    Only its owner can read it. Raise CommandError if ``file`` exists, unless it may be overwritten,
    or if it cannot be written.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists() and not overwrite:
            raise FileExistsError(file)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        _sync(draft)
        if overwrite:
            draft.replace(file)
        else:
            os.link(draft, file)  # Unlike a rename, this overwrites nothing.
            draft.unlink()
        _sync(file.parent)
    except FileExistsError as exc:
        raise CommandError(f"{file} exists. Name a new file.") from exc
    except OSError as exc:
        raise CommandError(f"{file} cannot be written: {exc.strerror}.") from exc
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
