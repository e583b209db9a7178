"""Which parameter of a function is the input, which the context, and what their types are."""

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from stepflow.worker._context import StepflowContext
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
    invoke: Callable[[Any, StepflowContext | None], Any]
    """Calls the function with its input and, where it has such a parameter, its context."""


def signature_of(function: Callable[..., Any], local_names: Mapping[str, Any]) -> Signature:
    """Read a function's parameters and types.

    `local_names` are the names around the decorator, in which string annotations may be defined.
    Raises `RegistrationError` when the function could not be called with one input.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        described = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise RegistrationError(name, str(error)) from None
    resolve = _resolver(function, name, local_names)

    context: inspect.Parameter | None = None
    inputs: list[inspect.Parameter] = []
    for parameter in described.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise RegistrationError(name, f"`{parameter}` takes more than one input")
        if context is None and _is_context(parameter, resolve):
            context = parameter
        else:
            inputs.append(parameter)
    needed = [each for each in inputs if each.default is each.empty] or inputs[:1]
    if len(needed) != 1:
        listed = ", ".join(f"`{each.name}`" for each in needed) or "none"
        raise RegistrationError(
            name, f"it must take exactly one input (and, if it wants, a context); it takes {listed}"
        )
    return Signature(
        input=resolve(needed[0].annotation),
        output=resolve(described.return_annotation),
        takes_context=context is not None,
        invoke=_invoker(function, needed[0], context),
    )


def _resolver(
    function: Callable[..., Any], name: str, local_names: Mapping[str, Any]
) -> Callable[[Any], Any]:
    global_names = getattr(inspect.unwrap(function), "__globals__", {})

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
        # Looked at as text first: the class is often imported for type checkers only.
        if "StepflowContext" in re.findall(r"\w+", annotation):
            return True
        annotation = resolve(annotation)
    kinds = (annotation, *typing.get_args(annotation))
    return any(isinstance(each, type) and issubclass(each, StepflowContext) for each in kinds)


def _invoker(
    function: Callable[..., Any], input: inspect.Parameter, context: inspect.Parameter | None
) -> Callable[[Any, StepflowContext | None], Any]:
    """The shortest way to call the function: this stands between every step and its code."""
    if context is None:
        if input.kind in _FIXED:
            return lambda value, _: function(value)
        return lambda value, _: function(**{input.name: value})
    if input.kind in _FIXED and context.kind in _FIXED:
        parameters = list(inspect.signature(function).parameters)
        if parameters[:2] == [input.name, context.name]:
            return function
        if parameters[:2] == [context.name, input.name]:
            return lambda value, given: function(given, value)
    return lambda value, given: function(**{input.name: value, context.name: given})
