"""A function that is served: its path, its types and how it is called."""

import functools
import inspect
from collections.abc import Callable, Mapping
from copy import copy
from datetime import timedelta
from types import CodeType
from typing import Any

from stepflow.protocol import ComponentInfo, duration_seconds
from stepflow.worker._components.bounds import checked_concurrency
from stepflow.worker._components.callables import (
    check_callable,
    is_async,
    name_of,
    own_function,
)
from stepflow.worker._components.paths import Capture, parts_of, path_of
from stepflow.worker._components.signature import signature_of
from stepflow.worker._components.texts import check_described
from stepflow.worker._values.mismatch import NoJsonSchema
from stepflow.worker._values.types import ValueType, value_type
from stepflow.worker.errors import RegistrationError


class Component:
    """One served function. It is made once, at registration, and used by every execute of its path."""

    __slots__ = ("captures", "description", "function", "input", "invoke", "is_async", "is_on_loop",
                 "max_concurrency", "output", "path", "takes_context", "timeout")  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        description: str | None,
        local_names: Mapping[str, Any],
        *,
        max_concurrency: int | None = None,
        timeout: str | float | timedelta | None = None,
        inline: bool = False,
    ) -> None:
        """Read the function. Raises `RegistrationError` with the reason why it cannot be served."""
        check_callable(function, name)
        own_name = name_of(function) if name is None else name
        self.path = path_of(own_name)
        self.captures = _captures(self.path)
        signature = signature_of(function, own_name, local_names, self.captures)
        self.description = description or inspect.getdoc(
            function.func if isinstance(function, functools.partial) else function
        )
        self.function = function
        self.is_async = is_async(function)
        self.is_on_loop = self.is_async or inline
        self.max_concurrency = _limit(own_name, max_concurrency)
        self.timeout = None if timeout is None else _span(own_name, timeout)
        self.takes_context = signature.takes_context
        self.invoke = signature.invoke
        self.input = _described(own_name, "input", signature.input)
        self.output = _described(own_name, "output", signature.output)
        check_described(
            own_name, self.description, input=self.input.schema, output=self.output.schema
        )

    def under(self, prefix: str) -> "Component":
        """Return the same component with `prefix` before its path."""
        moved = copy(self)
        moved.path = path_of(prefix + self.path)
        return moved

    def info(self, path: str | None = None) -> ComponentInfo:
        """Return what the server is told about it, or about one `path` that its pattern matches."""
        return ComponentInfo(
            component=path or self.path,
            description=self.description,
            input_schema=self.input.schema,
            output_schema=self.output.schema,
        )

    @property
    def title(self) -> str:
        """The name of the function in its code."""
        return str(getattr(self.function, "__qualname__", repr(self.function)))

    @property
    def code(self) -> CodeType | None:
        """The function's code object, which shows whether a stack frame is the component's."""
        return getattr(inspect.unwrap(own_function(self.function)), "__code__", None)


def _captures(path: str) -> tuple[str, ...]:
    try:
        return tuple(part.name for part in parts_of(path) if isinstance(part, Capture))
    except ValueError as problem:
        raise RegistrationError(path, str(problem)) from None


def _limit(name: str, max_concurrency: int | None) -> int | None:
    if max_concurrency is None:
        return None
    try:
        return checked_concurrency(max_concurrency)
    except ValueError as problem:
        raise RegistrationError(name, f"its max_concurrency: {problem}") from None


def _span(name: str, timeout: str | float | timedelta) -> float:
    try:
        span = duration_seconds(timeout)
    except ValueError as problem:
        raise RegistrationError(name, f"its timeout: {problem}") from None
    if span == 0:
        raise RegistrationError(name, f"its timeout: {timeout!r} leaves no time at all")
    return span


def _described(name: str, role: str, annotation: Any) -> ValueType:
    try:
        return value_type(annotation, output=role == "output")
    except NoJsonSchema as reason:
        raise RegistrationError(
            name,
            f"its {role} type has no JSON Schema: {reason}\nhint: {reason.hint}",
        ) from None
