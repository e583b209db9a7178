"""Finds out which parameter of a function is the input, which is the context, and what their types are."""

import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from stepflow.worker._components.callables import own_function
from stepflow.worker._context.context import StepflowContext
from stepflow.worker.errors import RegistrationError

_FIXED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Signature:
    """A component's function as the worker calls it."""

    input: Any
    """The input's type; `Any` without an annotation."""
    output: Any
    """The output's type; `Any` without an annotation."""
    takes_context: bool
    invoke: Callable[..., Any]
    """Calls the function. Takes the input and the context (`None` if it takes none) by position, and
    the captures of the path by name."""


def signature_of(
    function: Callable[..., Any],
    name: str,
    local_names: Mapping[str, Any],
    captures: Collection[str] = (),
) -> Signature:
    """Read a function's parameters and types.

    local_names: the local names around the decorator, which string annotations may use.
    captures: the parameters that the path gives.

    Raises `RegistrationError` when the function cannot be called with one input.
    """
    try:
        described = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise RegistrationError(name, str(error)) from None
    resolve = _resolver(function, name, local_names)

    _check_captures(name, described, captures, resolve)
    context: inspect.Parameter | None = None
    inputs: list[inspect.Parameter] = []
    for parameter in described.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise RegistrationError(
                name,
                f"`{parameter}` takes more than one input\n"
                "hint: name the one input; a wrapper shows its function's with `functools.wraps`",
            )
        if parameter.name in captures:
            continue
        if context is None and _is_context(parameter, resolve):
            context = parameter
        else:
            inputs.append(parameter)
    if context is not None and context.name == "context":
        _check_context(name, context, resolve)
    input = _only_input(name, inputs)
    return Signature(
        input=resolve(input.annotation),
        output=resolve(described.return_annotation),
        takes_context=context is not None,
        invoke=_invoker(function, name, input, context),
    )


def _only_input(name: str, inputs: list[inspect.Parameter]) -> inspect.Parameter:
    """Return the parameter without a default; the worker gives no value to the others."""
    needed = [each for each in inputs if each.default is each.empty] or inputs
    if len(needed) == 1:
        return needed[0]
    listed = ", ".join(f"`{each.name}`" for each in needed) or "none"
    problem = f"it must take exactly one input (and, if it wants, a context); it takes {listed}"
    if needed and needed[0].name in ("self", "cls"):
        problem += "\nhint: register the method of an instance: `server.component(it.method)`"
    elif needed and needed[0].default is not needed[0].empty:
        problem += "\nhint: the input is the one without a default"
    elif needed:
        problem += "\nhint: make them fields of one dataclass or Struct"
    raise RegistrationError(name, problem)


def _check_context(name: str, context: inspect.Parameter, resolve: Callable[[Any], Any]) -> None:
    """Refuse a parameter that is called `context` and is annotated as something else."""
    try:
        annotation = resolve(context.annotation)
    except RegistrationError:
        return  # a name that is imported for type checkers only
    if annotation is Any or any(map(_may_be_context, (annotation, *typing.get_args(annotation)))):
        return
    raise RegistrationError(
        name,
        f"`context` is the step's context, and is annotated as `{_shown(annotation)}`\n"
        "hint: annotate it as `StepflowContext`, or give the input another name",
    )


def _may_be_context(annotation: Any) -> bool:
    return isinstance(annotation, type) and (
        issubclass(annotation, StepflowContext)
        or annotation in StepflowContext.__mro__
        or getattr(annotation, "_is_protocol", False)
    )


def _shown(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _check_captures(
    name: str,
    described: inspect.Signature,
    captures: Collection[str],
    resolve: Callable[[Any], Any],
) -> None:
    for each in captures:
        parameter = described.parameters.get(each)
        if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
            raise RegistrationError(
                name, f"its path captures `{each}`: it needs a parameter `{each}: str`"
            )
        if resolve(parameter.annotation) not in (str, Any):
            raise RegistrationError(
                name, f"its path captures `{each}`, which is a `str`, not `{parameter.annotation}`"
            )


def _resolver(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> Callable[[Any], Any]:
    global_names = getattr(inspect.unwrap(own_function(function)), "__globals__", {})

    def resolve(annotation: Any) -> Any:
        if annotation is inspect.Parameter.empty:
            return Any
        if annotation is None:
            return type(None)
        holder = SimpleNamespace(__annotations__={"it": annotation})
        try:
            hints = typing.get_type_hints(
                holder, global_names, dict(local_names), include_extras=True
            )
        except Exception as error:  # noqa: BLE001, annotations are user code
            raise RegistrationError(
                name, f"its annotation `{annotation}` cannot be resolved: {error}"
            ) from None
        return hints["it"]

    return resolve


def _is_context(parameter: inspect.Parameter, resolve: Callable[[Any], Any]) -> bool:
    if parameter.name == "context":
        return True
    annotation = parameter.annotation
    if isinstance(annotation, str):
        # Checked as text first: the class is often imported for type checkers only.
        if {"StepflowContext", "StepflowStreamingContext"} & set(re.findall(r"\w+", annotation)):
            return True
        annotation = resolve(annotation)
    kinds = (annotation, *typing.get_args(annotation))
    return any(isinstance(each, type) and issubclass(each, StepflowContext) for each in kinds)


def _invoker(
    function: Callable[..., Any],
    name: str,
    input: inspect.Parameter,
    context: inspect.Parameter | None,
) -> Callable[..., Any]:
    """Return the fastest way to call the function, as every execute uses it."""
    if context is None:
        if input.kind in _FIXED and _first_of(function, 1) == [input.name]:
            return lambda value, _, /, **captures: function(value, **captures)
    elif input.kind in _FIXED and context.kind in _FIXED:
        first_two = _first_of(function, 2)
        if first_two == [input.name, context.name]:
            return function
        if first_two == [context.name, input.name]:
            return lambda value, given, /, **captures: function(given, value, **captures)
    for each in (input, context):
        if each is not None and each.kind is each.POSITIONAL_ONLY:
            problem = f"`{each.name}` is given by position only, and is not at its place"
            raise RegistrationError(name, f"{problem}\nhint: leave out the `/`")
    if context is None:
        return lambda value, _, /, **captures: function(**{input.name: value}, **captures)
    return lambda value, given, /, **captures: function(
        **{input.name: value, context.name: given}, **captures
    )


def _first_of(function: Callable[..., Any], count: int) -> list[str]:
    return list(inspect.signature(function).parameters)[:count]
