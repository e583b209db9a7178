"""Checks the numbers that a worker is given as soon as they are given: in the handshake it would be too late."""

from stepflow.protocol import duration_seconds

MOST_AT_ONCE = 2**32 - 1
"""The protocol's own limit: there the number has 32 bits."""


def checked_concurrency(number: int) -> int:
    """Return `number`. Raises `ValueError` unless it is a whole number from 1 to `MOST_AT_ONCE`."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"{number!r} is not a whole number")  # noqa: TRY004, one kind of error for all
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    if number > MOST_AT_ONCE:
        raise ValueError(f"more than {MOST_AT_ONCE:,} cannot run at once")
    return number


def checked_seconds(seconds: float) -> float:
    """Return `seconds`. Raises `ValueError` for no number, a negative one, or more than a hundred years."""
    if isinstance(seconds, str):
        raise ValueError(f"{seconds!r} is a text, not a number of seconds")  # noqa: TRY004
    return duration_seconds(seconds)


def check_options(max_concurrency: int | None, drain_timeout: float | None) -> None:
    """Raise `ValueError`, with the name of the option, for a value that is not allowed."""
    option = "max_concurrency"
    try:
        if max_concurrency is not None:
            checked_concurrency(max_concurrency)
        option = "drain_timeout"
        if drain_timeout is not None:
            checked_seconds(drain_timeout)
    except ValueError as problem:
        raise ValueError(f"{option}: {problem}") from None
