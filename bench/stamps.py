"""
The token of the benchmark: a space and the time at which the upstream sent it.

Both ends read the same clock: CLOCK_MONOTONIC is shared by all processes of a
machine. The text has a fixed width, so that every token costs the same bytes.
"""

import re
import time

WIDTH = 11  # Digits of a microsecond counter that starts again after 27 hours.
WRAP = 100_000_000_000
TOKEN_BYTES = WIDTH + 1

find_stamps = re.compile(rb" (\d{11})(?!\d)").findall
"""Return the digits of every token in a piece of a reply, whatever framing surrounds them."""


def now() -> int:
    """Return the microseconds that a token sent at this moment carries."""
    return time.monotonic_ns() // 1000 % WRAP


def age(stamp: int, at: int) -> int:
    """Return how many microseconds before ``at`` a token was sent."""
    return (at - stamp) % WRAP


def prompt(*, tokens: int, rate: float, hold: float = 0) -> str:
    """
    Return the question to which the upstream answers with so many tokens at that rate.

    With ``hold`` it says nothing at all for so many seconds first.
    """
    return f"bench:{tokens}@{rate:g}" + (f"+{hold:g}" if hold else "")


find_prompt = re.compile(r"bench:(\d+)@(\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?").findall
