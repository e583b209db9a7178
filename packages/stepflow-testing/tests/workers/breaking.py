"""Registers the classes that break a rule."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Breaking(Generic[T]):
    """The classes by the rule that they break; as a decorator it adds one."""

    def __init__(self) -> None:
        self.classes: dict[str, type[T]] = {}

    def __call__(self, rule: str) -> Callable[[type[T]], type[T]]:
        def add(broken: type[T]) -> type[T]:
            self.classes[rule] = broken
            return broken

        return add

    def get(self, rule: str, whole: type[T]) -> type[T]:
        """Return the class that breaks a rule, or the one that keeps all rules."""
        return self.classes.get(rule, whole)
