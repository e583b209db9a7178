"""Refuses two keys of an object that a declared type reads as one key, and keys that are not finite numbers."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, get_args, get_origin

import msgspec

from stepflow.protocol import format_path
from stepflow.worker._values.annotations import parts_of
from stepflow.worker._values.losses import elements, members
from stepflow.worker._values.mismatch import TypeMismatch


def reads_keys(annotation: Any) -> bool:
    """Whether a type contains a dict whose keys are not `str`."""
    return any(
        isinstance(origin := get_origin(each), type)
        and issubclass(origin, Mapping)
        and get_args(each)[:1] != (str,)
        for each in parts_of(annotation)
    )


def refuse_keys(plain: Any, read: Any, at: tuple[str | int, ...] = ()) -> None:
    """Raise `TypeMismatch` for the first such keys of a JSON value.

    plain: the JSON value. read: what the type has read from it. at: its place.
    """
    if getattr(type(read), "__pydantic_root_model__", False):
        read = read.root
    if isinstance(plain, dict) and isinstance(read, dict):
        _check_keys(plain, read, at)
    for step, each, part in _pairs(plain, read):
        refuse_keys(each, part, (*at, step))


def _check_keys(plain: dict[Any, Any], read: dict[Any, Any], at: tuple[str | int, ...]) -> None:
    for key in read:
        if isinstance(key, float | Decimal) and not math.isfinite(key):
            raise TypeMismatch(
                format_path(at), f"it has the key `{key}`, which is not a finite number"
            )
    if len(read) < len(plain):  # otherwise a class may have left out keys on purpose
        seen: dict[Any, Any] = {}
        for name in plain:
            key = _key(name, {type(each) for each in read})
            if key in seen:
                problem = f"it has the keys `{seen[key]}` and `{name}`, which are read as one"
                raise TypeMismatch(format_path(at), problem)
            seen[key] = name


def _key(name: Any, kinds: set[type]) -> Any:
    """Return the key that a name is read as, if keys have one of these types."""
    for kind in kinds:
        try:
            return next(iter(msgspec.convert({name: None}, dict[kind, None], strict=False)))  # type: ignore[valid-type]
        except (msgspec.ValidationError, TypeError):
            continue
    return name


def _pairs(plain: Any, read: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield the parts of a value, each with its place and with what was read from it."""
    if isinstance(plain, list) and not isinstance(read, set | frozenset):
        parts = zip(plain, elements(read) or (), strict=False)
        yield from ((index, *each) for index, each in enumerate(parts))
    elif isinstance(plain, dict):
        named = _named(read, plain)
        yield from ((name, each, named[name]) for name, each in plain.items() if name in named)


def _named(read: Any, plain: dict[Any, Any]) -> Mapping[Any, Any]:
    if (fields := getattr(type(read), "__pydantic_fields__", None)) is not None:
        return {
            name: getattr(read, field, None)
            for field, told in fields.items()
            for name in (field, told.alias, told.validation_alias)
            if isinstance(name, str)
        }
    if isinstance(read, dict) and all(type(key) is str for key in read):
        return read  # a TypedDict may have another order, and leaves out unknown keys
    return members(read, plain) or {}
