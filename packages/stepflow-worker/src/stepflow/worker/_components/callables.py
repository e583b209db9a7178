"""Finds the function inside a callable, such as a partial, and refuses callables that cannot be served."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

from stepflow.worker._components.texts import check_text
from stepflow.worker.errors import RegistrationError


def _no_code() -> Iterator[None]:
    yield


# All functions that one of these has decorated have the same code object.
_MAKES_CONTEXT_MANAGER = (
    contextlib.contextmanager(_no_code).__code__,
    contextlib.asynccontextmanager(_no_code).__code__,  # type: ignore[arg-type]
)


def own_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a partial, a method, or an object with `__call__` calls."""
    while True:
        match function:
            case functools.partial():
                function = function.func
            case staticmethod():
                function = function.__func__
            case _ if inspect.ismethod(function):
                function = function.__func__
            case FunctionType() | type():
                return function
            case _:
                call = getattr(type(function), "__call__", None)  # noqa: B004, it is used below
                if not isinstance(call, FunctionType | functools.partial | staticmethod):
                    return function  # it is written in C
                function = call


def is_async(function: Callable[..., Any]) -> bool:
    """Whether the result of a function must be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        own_function(function)
    )


def name_of(function: Callable[..., Any]) -> str:
    """Return the name that becomes the path. Raises `RegistrationError` when there is none."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise RegistrationError(repr(function), "it has no name; give it one with `name=`")
    return name


def check_callable(function: object, name: str | None) -> None:
    """Raise `RegistrationError` for an object that does not return one output for one call."""
    own_name = str(getattr(function, "__name__", repr(function)))
    if name is not None:
        check_text(own_name, "name", name)
    shown = name or own_name
    if isinstance(function, type):
        raise RegistrationError(shown, "it is a class; register a function, or an instance of it")
    if not callable(function):
        kind = type(function).__name__
        raise RegistrationError(shown, f"it is a `{kind}`, no function; a path is given by `name=`")
    own = own_function(function)
    if inspect.isgeneratorfunction(own) or inspect.isasyncgenfunction(own):
        raise RegistrationError(shown, "it yields; return a list instead")
    if getattr(own, "__code__", None) in _MAKES_CONTEXT_MANAGER:
        raise RegistrationError(
            shown,
            "it is a context manager, which is entered and gives no output\n"
            "hint: register a function that enters it, or make it the server's `lifespan`",
        )
    wrapped = (inspect.unwrap(function), inspect.unwrap(own))
    if not is_async(function) and any(map(inspect.iscoroutinefunction, wrapped)):
        raise RegistrationError(
            shown,
            "it is not an `async def`, but wraps one, and nobody would await what that returns\n"
            "hint: make the wrapper an `async def` that awaits the function; one that runs it to "
            "its end is served after `del wrapper.__wrapped__`",
        )
