"""Remembers that a TARGET is being imported: meanwhile its code must not serve."""

from collections.abc import Iterator
from contextlib import contextmanager

_importing: str | None = None


def importing() -> str | None:
    """Return the target that is being imported now; None if there is none."""
    return _importing


@contextmanager
def importing_target(place: str) -> Iterator[None]:
    """Mark a block in which a target is imported."""
    global _importing
    _importing = place
    try:
        yield
    finally:
        _importing = None
