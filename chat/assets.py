"""Which file a page loads: the bundle, if it is of these very sources, else the source."""

import functools
import hashlib
from pathlib import Path

from django.conf import settings

FOLDER = Path(__file__).parent / "static" / "chat"


def asset_path(name: str) -> str:
    """
    Return the static path of a script or style sheet that pages ask for.

    Without a bundle, with one of other sources, and in DEBUG, that is the
    source itself, which loads what it imports by itself.
    """
    if not settings.DEBUG and is_built() and (FOLDER / f"dist/{name}").exists():
        return f"chat/dist/{name}"
    return f"chat/{name}"


@functools.cache
def is_built() -> bool:
    """Tell whether the bundles are of the sources that are here. Looked at once per process."""
    try:
        return (FOLDER / "dist" / "sources").read_text() == fingerprint()
    except OSError:
        return False


def fingerprint() -> str:
    """Return what `scripts/bundle.mjs` writes beside the bundles."""
    digest = hashlib.sha256()
    for path in sorted(each for each in FOLDER.iterdir() if each.suffix in (".css", ".js")):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
