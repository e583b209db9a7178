"""Reads durations as flows, configurations and components write them. The server reads the same."""

import math
import re
from datetime import timedelta

# Longer units come first, and each unit once.
_TEXT = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?")
_MILLISECONDS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_DIGITS = 20
"""The most digits of a number; more would be longer than `LONGEST`, and slow to read."""
LONGEST = 100 * 365 * 86_400
"""A hundred years, in seconds. Within it every deadline is a valid date."""


def duration_seconds(duration: str | float | timedelta) -> float:
    """Return a duration in seconds.

    duration: a text such as `"500ms"`, `"30s"` or `"1h30m"`, a number of seconds, or a `timedelta`.

    Raises `ValueError` for anything else, and for a duration that is negative or longer than a hundred years.
    """
    match duration:
        case str():
            span = _read(duration.strip())
        case timedelta():
            span = duration.total_seconds()
        case int() | float() if not isinstance(duration, bool):
            span = duration
        case _:
            span = math.nan
    if not (span >= 0):
        raise ValueError(
            f"{duration!r} is not a duration; write `500ms`, `30s`, `1h30m` or a number of seconds"
        )
    if span > LONGEST:
        raise ValueError(f"{duration!r} is longer than a hundred years")
    return float(span)


def _read(text: str) -> float:
    parts = _TEXT.fullmatch(text)
    if parts is None or not text:
        return math.nan
    if max(len(digits or "") for digits in parts.groups()) > _DIGITS:
        return math.inf
    numbers = (int(digits or 0) for digits in parts.groups())
    return sum(n * unit for n, unit in zip(numbers, _MILLISECONDS, strict=True)) / 1000
