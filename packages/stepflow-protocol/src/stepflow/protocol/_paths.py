"""Paths into JSON values (`$.a["b c"][0]`). They are read in several spellings, and written in one."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

Segment: TypeAlias = str | int
Path: TypeAlias = tuple[Segment, ...]
"""The names of members and the places of elements, beginning with the outermost."""

_HINT = 'a path looks like `$.name`, `$["any name"]` or `$.list[0]`'
_MAX_INDEX = 2**64 - 1

# Exactly what the server strips; `str.strip` would also strip the ASCII separators.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
_SPACE += "\u2028\u2029\u202f\u205f\u3000"

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_MEMBER = re.compile(r"\.([^.\[]*)")
_ELEMENT = re.compile(r"\[([0-9]+)\]")
_SINGLE_QUOTED = re.compile(r"\['([^']*)'\]")
_strings = json.JSONDecoder()


class PathError(ValueError):
    """Raised when a text that starts with `$` is not a path."""

    hint = _HINT

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f"`{text}` is not a path: {problem}")


def parse_path(text: str | None) -> Path:
    """Read a path. A text that does not start with `$` is a single key, with any characters.

    Raises `PathError` when a text starts with `$` and is not a path.
    """
    if not text:
        return ()
    trimmed = text.strip(_SPACE)
    if not trimmed.startswith("$"):
        return (text,)
    return tuple(_segments(trimmed))


def format_path(path: Iterable[Segment]) -> str:
    """Return the canonical text: `.name` if that is unambiguous, otherwise the name as a JSON string."""
    return "$" + "".join(map(_format_segment, path))


def _format_segment(segment: Segment) -> str:
    if isinstance(segment, int):
        return f"[{segment}]"
    if _PLAIN.fullmatch(segment):
        return f".{segment}"
    return f"[{msgspec.json.encode(segment).decode()}]"


def _segments(path: str) -> Iterator[Segment]:
    place = 1
    while place < len(path):
        if found := _MEMBER.match(path, place):
            if found[1]:  # an empty name is skipped
                yield found[1]
            place = found.end()
        elif found := _SINGLE_QUOTED.match(path, place):
            yield found[1]
            place = found.end()
        elif found := _ELEMENT.match(path, place):
            if len(found[1]) > 400 or int(found[1]) > _MAX_INDEX:
                raise PathError(path, f"there is no element {found[1]}")
            yield int(found[1])
            place = found.end()
        elif path.startswith('["', place):
            name, place = _quoted(path, place)
            yield name
        else:
            raise PathError(path, f"`{path[place:]}` is neither a member nor an element")


def _quoted(path: str, place: int) -> tuple[str, int]:
    """Return the name in `["name"]`, with the escapes of a JSON string, and where the path goes on."""
    try:
        name, end = _strings.raw_decode(path, place + 1)
        name.encode()  # half a surrogate pair is not a character
    except ValueError:
        raise PathError(path, f"`{path[place + 1 :]}` does not begin with a JSON string") from None
    if not path.startswith("]", end):
        raise PathError(path, f"expected `]` before `{path[end:]}`")
    return name, end + 1
