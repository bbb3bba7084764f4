"""
Logs that hold what strangers sent, and still say one thing a line.

Whatever a name, a path or a model server's words contain, a record is one line
of at most 4 KiB, and nothing in it commands a terminal.
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured

MAX_BYTES = 4096
GAP = " […] "

# Their own handlers would write their records once more, or in their own form.
SERVERS = {
    "daphne": "WARNING",
    "django": "INFO",
    "django.server": "INFO",
    "uvicorn": "INFO",
    "uvicorn.access": "INFO",
    "uvicorn.error": "WARNING",
}


class LineFormatter(logging.Formatter):
    """For people: time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname} {record.name} "
        return _fit(_text(self, record), lambda text: escape(head + text))


class JsonFormatter(logging.Formatter):
    """For programs: an object a line, its text in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": _time(record), "level": record.levelname, "logger": record.name}

        def encode(text: str) -> str:
            return json.dumps({**fields, "message": text}).replace("\x7f", "\\u007f")

        return _fit(_text(self, record), encode)


FORMATS = {"plain": LineFormatter, "json": JsonFormatter}


def logging_config(form: str, *, level: str) -> dict[str, Any]:
    """Return Django's ``LOGGING``. Raise ImproperlyConfigured for a form that does not exist."""
    if form not in FORMATS:
        raise ImproperlyConfigured(f"LOG_FORMAT must be one of {', '.join(FORMATS)}: {form!r}")
    servers = {
        name: {"level": least, "handlers": [], "propagate": True} for name, least in SERVERS.items()
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": FORMATS[form]}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
        "loggers": {**servers, "chat": {"level": level}},
    }


def escape(text: str) -> str:
    """Return the text with all that does not print, line ends among them, as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _text(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the message, and what went wrong where: the last lines of a traceback say most."""
    text = record.getMessage()
    # Not record.exc_text: another formatter may have left it there, in its own form.
    if record.exc_info:
        text += "\n" + formatter.formatException(record.exc_info)
    if record.stack_info:
        text += "\n" + formatter.formatStack(record.stack_info)
    return text


def _fit(text: str, encode: Callable[[str], str]) -> str:
    """Return the encoded text, its middle left out as far as the bound demands."""
    size = min(len(text), MAX_BYTES)
    while True:
        line = encode(_shortened(text, size))
        length = len(line.encode(errors="backslashreplace"))
        if length <= MAX_BYTES or size == 0:
            return line
        size = max(0, min(size - 16, size * MAX_BYTES // length))


def _shortened(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    head = size // 3
    return text[:head] + GAP + text[len(text) - (size - head) :]
