"""The numbers that a worker may be given, each checked where it is given: the handshake is too late to refuse one."""

from stepflow.protocol import duration_seconds

MOST_AT_ONCE = 2**32 - 1
"""The protocol's own limit: such numbers have 32 bits there."""


def checked_concurrency(number: int) -> int:
    """Return how many executes may run at once. Raises `ValueError` for what is no such number."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise ValueError(f"{number!r} is no whole number")  # noqa: TRY004, as for every other
    if number < 1:
        raise ValueError(f"{number} is less than 1")
    if number > MOST_AT_ONCE:
        raise ValueError(f"more than {MOST_AT_ONCE:,} cannot run at once")
    return number


def checked_seconds(seconds: float) -> float:
    """Return a number of seconds. Raises `ValueError` for what is none, or longer than a hundred years."""
    if isinstance(seconds, str):
        raise ValueError(f"{seconds!r} is a text, not a number of seconds")  # noqa: TRY004
    return duration_seconds(seconds)


def check_options(max_concurrency: int | None, drain_timeout: float | None) -> None:
    """Raise `ValueError` with the name of an option of serving that cannot be."""
    option = "max_concurrency"
    try:
        if max_concurrency is not None:
            checked_concurrency(max_concurrency)
        option = "drain_timeout"
        if drain_timeout is not None:
            checked_seconds(drain_timeout)
    except ValueError as problem:
        raise ValueError(f"{option}: {problem}") from None
