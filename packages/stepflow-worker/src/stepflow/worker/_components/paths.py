"""Which component a path leads to: plain paths, and patterns such as `/core/{*rest}`."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from stepflow.worker.errors import RegistrationError

if TYPE_CHECKING:
    from stepflow.worker._components.component import Component

_CAPTURE = re.compile(r"\{(\*?)([A-Za-z_]\w*)\}")
_NOTHING: Mapping[str, str] = {}


class Capture(NamedTuple):
    """A part of a pattern that stands for one segment of a path, or for all that are left."""

    name: str
    takes_rest: bool


class Found(NamedTuple):
    """The component of a path, and what its pattern captured."""

    component: "Component"
    captures: Mapping[str, str]


def path_of(name: str) -> str:
    """Return the path that a name stands for. Raises `RegistrationError` when it leads nowhere."""
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
    """Return a pattern's segments. Raises `ValueError` with the reason when it is none."""
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
    """Return what two patterns have in common when they match the same paths."""
    return _CAPTURE.sub(r"{\1}", pattern)


class Paths:
    """Finds components: a literal segment before a captured one, and both before a rest."""

    def __init__(self, components: Iterable["Component"]) -> None:
        self._plain: dict[str, Found] = {}
        self._root = _Node()
        for component in components:
            if component.captures:
                self._root.add(parts_of(component.path), component)
            else:
                self._plain[component.path] = Found(component, _NOTHING)

    def find(self, path: str) -> Found | None:
        """Return the component that a path leads to."""
        return self._plain.get(path) or self._root.find(path.split("/"), 0, ())


class _Node:
    """Where a path may go on after some of its segments."""

    __slots__ = ("captured", "ends", "literal", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.captured: _Node | None = None
        self.ends: Component | None = None
        self.rest: Component | None = None

    def add(self, parts: list[str | Capture], component: "Component") -> None:
        if not parts:
            self.ends = component
            return
        first, *others = parts
        if isinstance(first, str):
            self.literal.setdefault(first, _Node()).add(others, component)
        elif first.takes_rest:
            self.rest = component
        else:
            self.captured = self.captured or _Node()
            self.captured.add(others, component)

    def find(self, path: list[str], at: int, values: tuple[str, ...]) -> Found | None:
        if at == len(path):
            return None if self.ends is None else _found(self.ends, values)
        segment = path[at]
        found = None
        if (next_node := self.literal.get(segment)) is not None:
            found = next_node.find(path, at + 1, values)
        if found is None and segment and self.captured is not None:
            found = self.captured.find(path, at + 1, (*values, segment))
        if found is None and self.rest is not None and (rest := "/".join(path[at:])):
            found = _found(self.rest, (*values, rest))
        return found


def _found(component: "Component", values: tuple[str, ...]) -> Found:
    return Found(component, dict(zip(component.captures, values, strict=True)))


def _part(segment: str) -> str | Capture:
    if not set(segment) & set("{}"):
        return segment
    capture = _CAPTURE.fullmatch(segment)
    if capture is None:
        raise ValueError(f"`{segment}` is no segment; a capture is `{{name}}` or `{{*name}}`")
    return Capture(capture[2], bool(capture[1]))
