"""Finds the component of a path."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stepflow.worker._components.component import Component
from stepflow.worker._components.paths import Capture, parts_of

_NO_CAPTURES: Mapping[str, str] = {}


class Found(NamedTuple):
    """The component of a path, and what its pattern captured."""

    component: Component
    captures: Mapping[str, str]


class Paths:
    """Finds components. A literal segment is preferred to a captured one, and both to a rest."""

    def __init__(self, components: Iterable[Component]) -> None:
        self._plain: dict[str, Found] = {}
        self._root = _Node()
        for component in components:
            if component.captures:
                self._root.add(parts_of(component.path), component)
            else:
                self._plain[component.path] = Found(component, _NO_CAPTURES)

    def find(self, path: str) -> Found | None:
        """Return the component of a path, or None."""
        return self._plain.get(path) or self._root.find(path.split("/"), 0, ())


class _Node:
    """A node of the tree of patterns: how they go on after their first segments."""

    __slots__ = ("captured", "ends", "literal", "rest")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.captured: _Node | None = None
        self.ends: Component | None = None
        self.rest: Component | None = None

    def add(self, parts: list[str | Capture], component: Component) -> None:
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


def _found(component: Component, values: tuple[str, ...]) -> Found:
    return Found(component, dict(zip(component.captures, values, strict=True)))
