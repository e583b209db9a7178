"""Finds constraints that do not fit their type. pydantic itself raises a `TypeError` only when it reads a value.

Imported only if the components have imported pydantic.
"""

import re
from collections.abc import Iterator
from typing import Any

import pydantic_core

_SAMPLES: dict[str, Any] = {
    "int": 1,
    "float": 1.0,
    "bool": True,
    "str": "a",
    "bytes": b"a",
    "list": [],
    "dict": {},
    "set": set(),
}
"""For each type, a value to try a constraint on."""
_NOT_SCHEMAS = {"metadata", "default", "config", "expected"}
"""Members of pydantic's schemas that hold values of the user."""


def wrong_constraint(schema: Any) -> str | None:
    """Return what is wrong with the first constraint in pydantic's schema that does not fit its type, or None."""
    for node in _nodes(schema):
        for kind, probe in _probes(node):
            try:
                pydantic_core.SchemaValidator(probe).validate_python(_SAMPLES[kind])
            except TypeError as error:
                named = re.search(r"constraint '(\w+)'", str(error))
                constraint = f"the constraint `{named[1]}`" if named else "a constraint"
                return f"{constraint} does not fit `{kind}`"
            except pydantic_core.ValidationError:
                continue  # the constraint fits the type, and refuses only this sample
    return None


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for name, each in schema.items():
            if name not in _NOT_SCHEMAS:
                yield from _nodes(each)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from _nodes(each)


def _probes(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the constraint of a node alone, with each of the types that it is used for."""
    match node:
        case {"type": "function-after", "schema": inner} if _is_constraint(node):
            for kind in _kinds(inner):
                yield kind, {**node, "schema": {"type": kind}}
        case {"type": "chain", "steps": [inner, *others]} if all(map(_is_constraint, others)):
            for kind in _kinds(inner):
                yield kind, {**node, "steps": [{"type": kind}, *others]}


def _is_constraint(node: Any) -> bool:
    """Whether a node calls a function of pydantic: user code must not run here."""
    match node:
        case {"function": {"function": function}}:
            function = getattr(function, "func", function)
            return str(getattr(function, "__module__", "")).startswith("pydantic._internal.")
    return False


def _kinds(schema: Any) -> Iterator[str]:
    match schema:
        case {"type": str(kind)} if kind in _SAMPLES:
            yield kind
        case {"type": "union", "choices": choices}:
            for each in choices:
                yield from _kinds(each[0] if isinstance(each, tuple) else each)
        case {"type": "function-after", "schema": inner} if _is_constraint(schema):
            yield from _kinds(inner)
