"""The paths of components: plain paths, and patterns such as `/core/{*rest}`."""

import re
from typing import NamedTuple

from stepflow.worker.errors import RegistrationError

_CAPTURE = re.compile(r"\{(\*?)([A-Za-z_]\w*)\}")


class Capture(NamedTuple):
    """A part of a pattern that stands for one segment of a path, or for all remaining ones."""

    name: str
    takes_rest: bool


def path_of(name: str) -> str:
    """Return the path for a name. Raises `RegistrationError` when the name makes no valid path."""
    path = name if name.startswith("/") else f"/{name}"
    problem = next(filter(None, map(_problem_of, path[1:].split("/"))), None)
    if problem is not None:
        raise RegistrationError(ascii(name)[1:-1], f"its name makes no path: {problem}")
    return path


def _problem_of(segment: str) -> str | None:
    if not segment:
        return "between two slashes, and after the last one, stands a word"
    odd = next((each for each in segment if each.isspace() or not each.isprintable()), None)
    return None if odd is None else f"{odd!a} cannot stand in it; write `_` or `-` instead"


def parts_of(pattern: str) -> list[str | Capture]:
    """Return the segments of a pattern. Raises `ValueError` when it is not a valid pattern."""
    parts = [_part(segment) for segment in pattern.split("/")]
    captures = [each for each in parts if isinstance(each, Capture)]
    if any(each.takes_rest for each in captures) and not (
        captures[-1] is parts[-1] and sum(each.takes_rest for each in captures) == 1
    ):
        raise ValueError("`{*name}` takes all that is left, so it must be the last segment")
    names = [each.name for each in captures]
    if len(set(names)) < len(names):
        raise ValueError("two of its captures have the same name")
    return parts


def shape_of(pattern: str) -> str:
    """Return a pattern without the names of its captures: the same for patterns that match the same."""
    return _CAPTURE.sub(r"{\1}", pattern)


def _part(segment: str) -> str | Capture:
    if not set(segment) & set("{}"):
        return segment
    capture = _CAPTURE.fullmatch(segment)
    if capture is None:
        raise ValueError(f"`{segment}` is not a segment; a capture is `{{name}}` or `{{*name}}`")
    return Capture(capture[2], bool(capture[1]))
