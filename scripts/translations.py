"""
The words of the chat in other languages: `python scripts/translations.py`.

Reads what is marked for translation in templates, Python and JavaScript, brings
the files of `chat/locale` up to date, says what lacks a translation, and
compiles. `build_assets.py` and the build of the wheel only compile. Babel does
the work, so that no machine needs GNU gettext.
"""

# ruff: noqa: T201 - A command for people.
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

BASE_DIR = Path(__file__).resolve().parent.parent
LOCALE = Path("chat/locale")
LANGUAGES = ("de",)
# Without its own argument, a function's first one is the text.
KEYWORDS: dict[str, Any] = {
    "_": None,
    "_now": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
HEADER = "# Words of the chat. Made by scripts/translations.py; only the translations are ours.\n"


def main() -> int:
    missing = 0
    for domain, found in extract_all(BASE_DIR).items():
        for language in LANGUAGES:
            path = BASE_DIR / LOCALE / language / "LC_MESSAGES" / f"{domain}.po"
            missing += len(list(update(path, found, language)))
    compile_all(BASE_DIR)
    print(f"{missing} without a translation." if missing else "All is translated.")
    return 1 if missing else 0


def extract_all(folder: Path) -> dict[str, Catalog]:
    """Return what is marked in the sources below a folder, by gettext's domain."""
    return {
        "django": _catalog(_python_messages(folder)),
        "djangojs": _catalog(_script_messages(folder)),
    }


def update(path: Path, found: Catalog, language: str) -> Iterator[Any]:
    """Bring a file up to date: drop what is not said any more. Yield what has no translation."""
    old = read(path, language)
    new = Catalog(locale=language, header_comment=HEADER, charset="utf-8")
    for message in found:
        if message.id:
            known = old.get(message.id, context=message.context)
            string = known.string if known else message.string
            new.add(message.id, string, context=message.context, flags=message.flags)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    write_po(written, new, no_location=True, omit_header=True, sort_output=True, width=100)
    path.write_bytes(_head(new).encode() + written.getvalue())
    for message in new:
        if message.id and not is_whole(message.string):
            print(f"{path.name}: {message.id!r}")
            yield message


def compile_all(folder: Path) -> list[Path]:
    """Compile the translations below a folder, and return what was written: for builds."""
    made = []
    for path in sorted((folder / LOCALE).glob("*/LC_MESSAGES/*.po")):
        target = path.with_suffix(".mo")
        compiled = io.BytesIO()
        write_mo(compiled, read(path, path.parts[-3]))
        if not target.exists() or target.read_bytes() != compiled.getvalue():
            target.write_bytes(compiled.getvalue())
        made.append(target)
    return made


def read(path: Path, language: str) -> Catalog:
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def is_whole(string: str | list[str] | tuple[str, ...]) -> bool:
    """Whether a translation is there, in all its forms."""
    return all(string) if isinstance(string, list | tuple) and string else bool(string)


def _catalog(messages: Iterator[tuple[Any, Any]]) -> Catalog:
    catalog = Catalog()
    for text, context in messages:
        catalog.add(text, context=context)
    return catalog


def _python_messages(folder: Path) -> Iterator[tuple[Any, Any]]:
    for path in sorted((folder / "chat").rglob("*.py")):
        yield from _extract("python", path.read_bytes())
    for path in _templates(folder):
        yield from _extract("python", _as_python(path.read_text()))


def _templates(folder: Path) -> list[Path]:
    both = (folder / "templates", folder / "chat/templates")
    return sorted(path for root in both for path in root.rglob("*.html"))


def _script_messages(folder: Path) -> Iterator[tuple[Any, Any]]:
    for path in sorted((folder / "chat/static/chat").glob("*.js")):
        yield from _extract("javascript", path.read_bytes())


def _extract(kind: str, source: bytes) -> Iterator[tuple[Any, Any]]:
    for _line, text, _comments, context in extract(kind, io.BytesIO(source), KEYWORDS):
        yield text, context


def _as_python(template: str) -> bytes:
    """Return a template's marked texts as Django gives them to gettext: as calls in Python."""
    from django.conf import settings
    from django.utils.translation.template import templatize

    if not settings.configured:
        settings.configure()
    # What it makes of the rest is indented at random.
    lines = (line.strip() for line in templatize(template).splitlines())
    return "\n".join(lines).encode()


def _head(catalog: Catalog) -> str:
    """Return the header without times and programs, which would differ at each run."""
    lines = (
        f"Language: {catalog.locale_identifier}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        f"Plural-Forms: {catalog.plural_forms}",
    )
    return HEADER + 'msgid ""\nmsgstr ""\n' + "".join(f'"{line}\\n"\n' for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
