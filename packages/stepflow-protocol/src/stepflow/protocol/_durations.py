"""Spans of time as flows, configurations and components write them. The server reads the same."""

import math
import re
from datetime import timedelta

# Longer units go first, each once.
_TEXT = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?")
_MILLISECONDS = (86_400_000, 3_600_000, 60_000, 1_000, 1)
_DIGITS = 20
"""No span is written with more of them; it keeps the reading of a text short."""
LONGEST = 100 * 365 * 86_400
"""A hundred years, in seconds: every deadline stays a date."""


def duration_seconds(duration: str | float | timedelta) -> float:
    """Return a span of time in seconds: of `"500ms"`, `"30s"`, `"1h30m"`, or a number of seconds.

    Raises `ValueError` when it is none, negative, or longer than a hundred years.
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
            f"{duration!r} is no span of time; write `500ms`, `30s`, `1h30m` or a number of seconds"
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
