"""A function that is served: its path, its types and how it is called."""

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from types import CodeType
from typing import Any

from stepflow.protocol import ComponentInfo
from stepflow.worker._components.durations import seconds
from stepflow.worker._components.paths import Capture, parts_of
from stepflow.worker._components.signature import signature_of
from stepflow.worker._components.types import Undescribable, ValueType, value_type
from stepflow.worker.errors import RegistrationError


class Component:
    """One served function. Made once, at registration; used by every execute of its path."""

    __slots__ = ("captures", "description", "function", "inline", "input", "invoke", "is_async", "is_on_loop",
                 "max_concurrency", "output", "path", "takes_context", "timeout")  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        description: str | None,
        local_names: Mapping[str, Any],
        *,
        max_concurrency: int | None = None,
        timeout: str | float | None = None,
        inline: bool = False,
    ) -> None:
        """Read the function. Raises `RegistrationError` with the reason why it cannot be served."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise RegistrationError(function.__name__, "it yields; return a list instead")
        own_name = name or str(getattr(function, "__name__", ""))
        if not own_name.strip("/"):
            raise RegistrationError(repr(function), "it has no name; give it one with `name=`")
        if max_concurrency is not None and max_concurrency < 1:
            raise RegistrationError(own_name, f"max_concurrency={max_concurrency} is less than 1")
        self.path = own_name if own_name.startswith("/") else f"/{own_name}"
        self.captures = _captures(self.path)
        signature = signature_of(function, local_names, self.captures)
        self.description = description or inspect.getdoc(function)
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004, an instance may have an async one
        )
        self.inline = inline
        self.is_on_loop = self.is_async or inline
        self.max_concurrency = max_concurrency
        self.timeout = None if timeout is None else _span(own_name, timeout)
        self.takes_context = signature.takes_context
        self.invoke = signature.invoke
        self.input = _described(own_name, "input", signature.input)
        self.output = _described(own_name, "output", signature.output)

    def under(self, prefix: str) -> "Component":
        """Return the same component under a longer path."""
        moved = copy(self)
        moved.path = prefix + self.path
        moved.captures = _captures(moved.path)
        return moved

    def info(self, path: str | None = None) -> ComponentInfo:
        """What the server is told of it, or of one `path` that its pattern matches."""
        return ComponentInfo(
            component=path or self.path,
            description=self.description,
            input_schema=self.input.schema,
            output_schema=self.output.schema,
        )

    @property
    def title(self) -> str:
        """What the function is called in its code."""
        return str(getattr(self.function, "__qualname__", repr(self.function)))

    @property
    def code(self) -> CodeType | None:
        """The function's code, by which a stack frame is recognised as the component's."""
        return getattr(inspect.unwrap(self.function), "__code__", None)


def _captures(path: str) -> tuple[str, ...]:
    try:
        return tuple(part.name for part in parts_of(path) if isinstance(part, Capture))
    except ValueError as problem:
        raise RegistrationError(path, str(problem)) from None


def _span(name: str, timeout: str | float) -> float:
    try:
        return seconds(timeout)
    except ValueError as problem:
        raise RegistrationError(name, f"its timeout: {problem}") from None


def _described(name: str, role: str, annotation: Any) -> ValueType:
    try:
        return value_type(annotation, output=role == "output")
    except Undescribable as reason:
        raise RegistrationError(
            name,
            f"its {role} type has no JSON Schema: {reason}\n"
            "hint: use a msgspec Struct, dataclass, TypedDict, dict, list, scalar, `Any` or a "
            "pydantic model",
        ) from None
