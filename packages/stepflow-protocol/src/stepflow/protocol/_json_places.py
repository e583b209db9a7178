"""Finds the part of a value that has no JSON form. It is slow, and loaded only when there may be such a part."""

import dataclasses
import enum
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from stepflow.protocol._json_limits import MAX_DEPTH, Other
from stepflow.protocol._json_texts import LONG, JsonFault, parsed
from stepflow.protocol._paths import Path, format_path
from stepflow.protocol.errors import NoJsonForm

_ADVICE = "which has no JSON form; plain values, dataclasses and Structs have one"
_SHOWN = 6
"""How many steps of a path are shown if it is too deep."""


def refuse(value: object, other: Other) -> None:
    """Raise `NoJsonForm` for the first part of a value that has no JSON form, if there is one."""
    _refuse_part(value, (), other)


def _refuse_part(value: object, at: Path, other: Other) -> None:
    match value:
        case enum.Enum():
            _refuse_part(value.value, at, other)
        case float() | Decimal() if not _is_finite(value):
            raise NoJsonForm(format_path(at), f"is {_spelled(value)}, which JSON does not have")
        case str():
            _check_text(value, at)
        case int():
            _check_digits(value, at)
        case JsonFault():
            raise NoJsonForm(format_path(at), value.problem)
        case msgspec.Raw():
            _refuse_part(parsed(bytes(value)), at, other)
        case dict():
            _check_depth(at)
            _check_keys(value, at)
            for key, each in value.items():
                _refuse_part(each, (*at, _name(key, at)), other)
        case list() | tuple() | set() | frozenset():
            _check_depth(at)
            for index, each in enumerate(value):
                _refuse_part(each, (*at, index), other)
        case _ if (members := _members(value)) is not None:
            _check_depth(at)
            for name, field in members:
                _refuse_part(_member(value, field, (*at, name)), (*at, name), other)
        case _:
            _refuse_object(value, at, other)


def _refuse_object(value: object, at: Path, other: Other) -> None:
    try:
        msgspec.json.encode(value)
        return
    except TypeError:
        pass
    except (ValueError, OverflowError) as error:
        raise NoJsonForm(format_path(at), f"has no JSON form: {error}") from None
    try:
        if other is None:
            raise TypeError
        written = other(value)
    except NoJsonForm as error:
        raise NoJsonForm(format_path(at) + error.path[1:], error.problem) from None
    except TypeError:
        raise NoJsonForm(
            format_path(at), f"is of type `{type(value).__qualname__}`, {_ADVICE}"
        ) from None
    _refuse_part(written, at, other)


def _members(value: object) -> Iterable[tuple[str, str]] | None:
    """Yield the fields of a Struct, a dataclass or an attrs class: the name in JSON, and the field's name."""
    if isinstance(value, msgspec.Struct):
        return zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        own = [field.name for field in dataclasses.fields(value)]
    elif (attributes := getattr(type(value), "__attrs_attrs__", None)) is not None:
        own = [field.name for field in attributes]
    else:
        return None
    return zip(own, own, strict=True)


def _member(value: object, field: str, at: Path) -> object:
    try:
        member = getattr(value, field)
    except AttributeError:
        problem = f"is missing: the `{type(value).__qualname__}` has no attribute `{field}`"
        raise NoJsonForm(format_path(at), problem) from None
    return None if member is msgspec.UNSET else member  # an unset member is left out


def _check_digits(number: int, at: Path) -> None:
    try:
        int.__repr__(number)
    except ValueError:
        raise NoJsonForm(format_path(at), LONG) from None


def _check_text(text: str, at: Path) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NoJsonForm(
            format_path(at), "holds half of a surrogate pair, which is not a character"
        ) from None


def _check_keys(value: dict[Any, object], at: Path) -> None:
    names: dict[str, object] = {}
    for key in value:
        name = _name(key, at)
        if name in names:
            problem = f"has two keys named `{name}`: {names[name]!r} and {key!r}"
            raise NoJsonForm(format_path(at), problem)
        names[name] = key


def _name(key: object, at: Path) -> str:
    """Return what msgspec writes for a key."""
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        try:
            key.encode()
        except UnicodeEncodeError:
            problem = f"has the key {key!a} with half of a surrogate pair, which is not a character"
            raise NoJsonForm(format_path(at), problem) from None
    if isinstance(key, float | Decimal) and not _is_finite(key):
        raise NoJsonForm(format_path(at), f"has the key {_spelled(key)}, which JSON does not have")
    try:
        return str(next(iter(msgspec.to_builtins({key: None}, str_keys=True))))
    except ValueError:
        raise NoJsonForm(format_path(at), f"has a key that {LONG}") from None
    except (TypeError, OverflowError):
        problem = f"has the key `{key!r}`; keys are strings, numbers, dates, UUIDs or enum members"
        raise NoJsonForm(format_path(at), problem) from None


def _check_depth(at: Path) -> None:
    if len(at) >= MAX_DEPTH:
        raise NoJsonForm(
            format_path(at[:_SHOWN]) + "…", f"is nested more than {MAX_DEPTH} levels deep"
        )


def _is_finite(number: float | Decimal) -> bool:
    return number.is_finite() if isinstance(number, Decimal) else math.isfinite(number)


def _spelled(number: float | Decimal) -> str:
    if number.is_nan() if isinstance(number, Decimal) else math.isnan(number):
        return "NaN"
    return "-Infinity" if number < 0 else "Infinity"
