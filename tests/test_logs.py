"""X07: whatever is logged, a record is one harmless line of bounded length."""

import json
import logging
import sys
import time

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from chatsite.logs import FORMATS, MAX_BYTES, JsonFormatter, LineFormatter, logging_config

HOSTILE = [
    "\n2026-01-01 00:00:00 ERROR chat fake",
    "\r\nfake",
    "\x1b[2J\x1b]52;c;cm0gLXJm\x07",
    "\x9b31m",
    "a\0b",
    "\u2028fake\u2029\x85\x0b\x0c",
    "\u202egnp.exe\u2066",
    "\x7f\x08\x08",
    "\ud800",
    '", "level": "ERROR',
    "x" * 1_000_000,
    "\0" * 1_000_000,
    "\U0001f600" * 1_000_000,
]


def line_of(formatter: logging.Formatter, message: str, *args: object, **fields: object) -> str:
    record = logging.LogRecord("chat.test", logging.WARNING, "", 1, message, args, None)
    vars(record).update(fields)
    return formatter.format(record)


def check(line: str) -> None:
    assert line.isprintable()
    assert len(line.encode()) <= MAX_BYTES


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()], ids=FORMATS)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_x07_a_hostile_value_stays_on_its_line(formatter, text):
    started = time.monotonic()
    check(line_of(formatter, "User %s", text))
    check(line_of(formatter, text.replace("%", "%%")))
    try:
        raise ValueError(text)
    except ValueError:
        check(line_of(formatter, "Failed", exc_info=sys.exc_info(), stack_info=text))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()], ids=FORMATS)
@given(text=st.text())
def test_x07_any_text_stays_on_its_line(formatter, text):
    check(line_of(formatter, "%s", text * 300))


@given(text=st.text(max_size=300))
def test_a_line_of_json_holds_the_message_as_it_was(text):
    fields = json.loads(line_of(JsonFormatter(), "%s", text))
    assert fields.pop("time").endswith("+00:00")
    assert fields == {"level": "WARNING", "logger": "chat.test", "message": text}


def test_a_plain_line_says_when_what_and_who():
    line = line_of(LineFormatter(), "Grüße, %s 👋", "Ada", created=0)
    assert line == "1970-01-01T00:00:00.000+00:00 WARNING chat.test Grüße, Ada 👋"


def test_a_long_traceback_keeps_its_last_words():
    def fail(depth):
        if depth:
            fail(depth - 1)
        raise ValueError("the cause")

    try:
        fail(200)
    except ValueError:
        line = line_of(LineFormatter(), "It failed", exc_info=sys.exc_info())
    check(line)
    assert "WARNING chat.test It failed" in line
    assert line.endswith("ValueError: the cause")


def test_a_format_that_does_not_exist_is_named():
    with pytest.raises(ImproperlyConfigured, match="LOG_FORMAT must be one of plain, json"):
        logging_config("xml", level="INFO")
