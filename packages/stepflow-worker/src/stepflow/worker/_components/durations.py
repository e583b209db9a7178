"""Spans of time as the flow language writes them."""

import math
import re

# Longer units go first, each once.
_TEXT = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)


def seconds(duration: str | float) -> float:
    """Return a span of time in seconds: of `"500ms"`, `"30s"`, `"1h30m"`, or a number of seconds.

    Raises `ValueError` when it is none, or not above zero.
    """
    if isinstance(duration, str):
        parts = _TEXT.fullmatch(duration)
        if parts is None:
            raise ValueError(f"{duration!r} is no span of time; write 500ms, 30s, 5m or 1h30m")
        span = sum(int(n or 0) * unit for n, unit in zip(parts.groups(), _SECONDS, strict=True))
    else:
        span = float(duration)
    if not (math.isfinite(span) and span > 0):
        raise ValueError(f"{duration!r} is no span of time above zero")
    return span
