"""The canonical form of a flow. Its SHA-256 is the flow's id; the server computes the same.

The keys of the language have a fixed order; null, empty and unknown ones are left out. The keys that the author has
chosen keep their order, also in expressions. Every path has one spelling.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import msgspec

from stepflow.protocol._paths import Path, PathError, format_path, parse_path
from stepflow.protocol._texts import checked_text
from stepflow.protocol._values import Constant, Data, StepReference, Value
from stepflow.protocol.errors import InvalidFlow
from stepflow.protocol.flow import Flow

Json: TypeAlias = "bool | int | float | str | dict[str, Json] | list[Json] | None"

MAX_DEPTH = 128
"""How deep arrays and objects may be nested, counted from the flow itself."""
_MAX_INTEGER = 10**308


def flow_id(flow: Flow | Mapping[str, Constant] | str | bytes) -> str:
    """Return the id that every server gives to this flow: 64 hex digits.

    flow: a `Flow`, a document as `json.load` returns it, or the text of a JSON document.

    Raises `InvalidFlow` when the document does not have the shape of a flow. Only a server can tell whether the flow
    can run.

    A `stepflow.protocol.flow.Flow` does not keep the order of the members of a `backoff`. If a document was written
    in another order, compute the id of the document itself.
    """
    return hashlib.sha256(msgspec.json.encode(canonical(flow))).hexdigest()


def canonical(flow: Flow | Mapping[str, Constant] | str | bytes) -> dict[str, Json]:
    """Return a flow's document in canonical form. Raises `InvalidFlow`."""
    document = constant(document_of(flow), ())
    if not isinstance(document, dict):
        raise InvalidFlow("$", f"a flow is an object, not {_named(document)}")
    try:
        msgspec.convert(document, Flow)
    except msgspec.ValidationError as error:
        problem, _, at = str(error).partition(" - at ")
        raise InvalidFlow(at.strip("`") or "$", problem) from None
    return _Members(_FLOW)(document, ())


def document_of(flow: Flow | Mapping[str, Constant] | str | bytes) -> Constant:
    """Return a flow's document as it is written. Raises `InvalidFlow`."""
    try:
        if isinstance(flow, str | bytes):
            return cast(Constant, msgspec.json.decode(flow))
        if isinstance(flow, Flow):
            return cast(Constant, msgspec.to_builtins(flow))
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidFlow("$", f"not a JSON document: {error}") from None
    except TypeError as error:
        raise InvalidFlow("$", f"the flow holds something without a JSON form: {error}") from None
    return flow


# Constants


def constant(value: Constant, at: Path) -> Json:
    """Return a copy of a JSON value. Raises `InvalidFlow` if it has no JSON form, or is nested too deeply."""
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) >= _MAX_INTEGER:
                raise InvalidFlow(format_path(at), "the number is too large")
            return int(value)
        case float():
            if not math.isfinite(value):
                raise InvalidFlow(format_path(at), f"JSON has no number {value}", "use null")
            return float(value)
        case str():
            return checked_text(value, at)
        case Flow():
            return canonical(value)
        case Mapping():
            _check_depth(at)
            return {_key(key, at): constant(each, (*at, key)) for key, each in value.items()}
        case list() | tuple():
            _check_depth(at)
            return [constant(each, (*at, place)) for place, each in enumerate(value)]
        case Value():
            raise InvalidFlow(
                format_path(at), "a `Value` inside a constant: nothing in there is computed"
            )
        case _:
            raise InvalidFlow(format_path(at), f"{_named(value)} has no JSON form")


def _key(key: object, at: Path) -> str:
    if not isinstance(key, str):
        raise InvalidFlow(format_path(at), f"the key {key!r} is {_named(key)}, not a string")
    return checked_text(key, at)


def _check_depth(at: Path) -> None:
    if len(at) >= MAX_DEPTH:
        raise InvalidFlow(format_path(at[:4]) + "…", f"nested more than {MAX_DEPTH} deep")


def _named(value: object) -> str:
    return f"a `{type(value).__name__}`"


# Expressions


def expression(value: Data, at: Path, builder: object = None) -> Json:
    """Return an expression in canonical form.

    builder: the builder that the expression is given to; None for a document. A builder refuses handles of other
    builders' steps, and unknown keys beside a reserved key. In a document, unknown keys are left out.
    """
    match value:
        case Value():
            if isinstance(value, StepReference) and value._owner not in (None, builder):
                problem = f"the handle of step `{value._step}` belongs to another flow"
                raise InvalidFlow(format_path(at), problem, "pass the value through the input")
            return expression(value._form, at, builder)
        case Flow():
            return {"$literal": canonical(value)}
        case Mapping():
            _check_depth(at)
            for key, read in _RESERVED.items():
                if key in value:  # the first one counts; the language ignores unknown keys
                    made = read(value, at, builder)
                    if builder is not None:
                        _check_beside(value, key, at)
                    return made
            return {
                _key(key, at): expression(each, (*at, key), builder) for key, each in value.items()
            }
        case list() | tuple():
            _check_depth(at)
            return [expression(each, (*at, place), builder) for place, each in enumerate(value)]
        case _:
            return constant(cast(Constant, value), at)


def _check_beside(value: Mapping[str, Data], reserved: str, at: Path) -> None:
    takes = _BESIDE.get(reserved, ())
    for key in value:
        if key != reserved and key not in takes:
            problem = f"`{key}` stands beside `{reserved}`, which does not take it"
            hint = "leave it out; an object in which nothing is computed is `Value.literal`"
            raise InvalidFlow(format_path(at), problem, hint)


def _members(*keys: str) -> "_Read":
    """Reads those members that are there, each an expression."""

    def read(value: Mapping[str, Data], at: Path, builder: object) -> Json:
        return {key: expression(value[key], (*at, key), builder) for key in keys if key in value}

    return read


def _literal(value: Mapping[str, Data], at: Path, _: object) -> Json:
    return {"$literal": constant(cast(Constant, value["$literal"]), (*at, "$literal"))}


def _if(value: Mapping[str, Data], at: Path, builder: object) -> Json:
    if "then" not in value:
        raise InvalidFlow(format_path(at), "`$if` needs a `then`")
    return _members("$if", "then", "else")(value, at, builder)


def _coalesce(value: Mapping[str, Data], at: Path, builder: object) -> Json:
    if not isinstance(value["$coalesce"], list | tuple):
        raise InvalidFlow(format_path(at), "`$coalesce` takes an array of expressions")
    return _members("$coalesce")(value, at, builder)


def _from(value: Mapping[str, Data], at: Path, _: object) -> Json:
    hint = "write `{$step: …}`, `{$input: …}` or `{$variable: …}`"
    raise InvalidFlow(format_path(at), "`$from` is an old spelling", hint)


def _step(value: Mapping[str, Data], at: Path, _: object) -> Json:
    if not isinstance(step := value["$step"], str):
        raise InvalidFlow(format_path(at), "`$step` takes the id of a step, a string")
    named: dict[str, Json] = {"$step": checked_text(step, at)}
    if (path := _path(value, "path", at)) != "$":
        named["path"] = path
    return named


def _input(value: Mapping[str, Data], at: Path, _: object) -> Json:
    return {"$input": _path(value, "$input", at)}


def _variable(value: Mapping[str, Data], at: Path, builder: object) -> Json:
    path = _path(value, "$variable", at)
    if not isinstance(next(iter(parse_path(path)), None), str):
        raise InvalidFlow(format_path(at), "`$variable` begins with the name of a variable")
    named: dict[str, Json] = {"$variable": path}
    if "default" in value:
        named["default"] = expression(value["default"], (*at, "default"), builder)
    return named


def _path(value: Mapping[str, Data], key: str, at: Path) -> str:
    """Return the canonical text of a member that is a path; `$` if it is null or missing."""
    written = value.get(key)
    if not (written is None or isinstance(written, str)):
        raise InvalidFlow(format_path(at), f"`{key}` takes a path, a string")
    try:
        return format_path(parse_path(checked_text(written, at) if written else None))
    except PathError as error:
        raise InvalidFlow(format_path(at), str(error), error.hint) from None


_Read: TypeAlias = Callable[[Mapping[str, Data], Path, object], Json]

# The keys that make an object an expression, in the order in which they are searched.
_RESERVED: dict[str, _Read] = {
    "$literal": _literal,
    "$if": _if,
    "$coalesce": _coalesce,
    "$from": _from,
    "$step": _step,
    "$input": _input,
    "$variable": _variable,
}

# The other keys that belong to them.
_BESIDE = {"$if": ("then", "else"), "$step": ("path",), "$variable": ("default",)}


# The document


_Part: TypeAlias = Callable[[Json, Path], Json]
"""Makes a member canonical; returns None when it is left out."""


class _Members:
    """Makes an object canonical: it has these members, in this order."""

    def __init__(self, parts: Mapping[str, _Part], required: frozenset[str] = frozenset()) -> None:
        self._parts = parts
        self._required = required

    def __call__(self, value: Json, at: Path) -> dict[str, Json]:
        given = value if isinstance(value, dict) else {}
        made = {key: part(given.get(key), (*at, key)) for key, part in self._parts.items()}
        return {k: each for k, each in made.items() if each is not None or k in self._required}


def _as_written(value: Json, _: Path) -> Json:
    return value


def _unless_empty(value: Json, _: Path) -> Json:
    return value or None


def _schemas(value: Json, _: Path) -> Json:
    return value if value and value != {"type": "object"} else None


def _each(part: _Part) -> _Part:
    def all_of(value: Json, at: Path) -> Json:
        elements = value if isinstance(value, list) else []
        return [part(each, (*at, place)) for place, each in enumerate(elements)] or None

    return all_of


def _test(value: Json, at: Path) -> Json:
    if isinstance(value, dict) and value.get("config") is None:
        value = {**value, "config": value.get("stepflow_config")}  # the published spelling
    return _Members(_TEST)(value, at) or None


def _on_error(value: Json, at: Path) -> Json:
    return _Members(_ON_ERROR)(value, at) or None


_ON_ERROR: dict[str, _Part] = dict.fromkeys(
    ("action", "defaultValue", "maxRetries", "backoff", "retryOn", "exhausted"), _as_written
)
_STEP: dict[str, _Part] = {
    "id": _as_written,
    "component": _as_written,
    "onError": _on_error,
    "input": expression,
    "mustExecute": _as_written,
    "metadata": _unless_empty,
    "timeout": _as_written,
}
_CASE: dict[str, _Part] = dict.fromkeys(
    ("name", "description", "input", "output", "mocks", "expectSteps"), _as_written
)
_TEST: dict[str, _Part] = {
    "configFile": _as_written,
    "config": _as_written,
    "cases": _each(_Members(_CASE, frozenset({"input"}))),
}
_EXAMPLE: dict[str, _Part] = dict.fromkeys(("name", "description", "input"), _as_written)
_FLOW: dict[str, _Part] = {
    "name": _as_written,
    "description": _as_written,
    "version": _as_written,
    "schemas": _schemas,
    "steps": _each(_Members(_STEP)),
    "output": expression,
    "test": _test,
    "examples": _each(_Members(_EXAMPLE, frozenset({"input"}))),
    "metadata": _unless_empty,
    "timeout": _as_written,
}
