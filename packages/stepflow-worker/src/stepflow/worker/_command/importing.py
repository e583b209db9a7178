"""Whether a target of the command line is being imported: its file must not serve meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

_importing: str | None = None


def importing() -> str | None:
    """Return the target that is being imported right now."""
    return _importing


@contextmanager
def marked(place: str) -> Iterator[None]:
    """Mark a block in which a target is imported."""
    global _importing
    _importing = place
    try:
        yield
    finally:
        _importing = None
