"""Completes instances of dataclasses with fields that only their class has, such as `field(init=False, default=5)`.

msgspec reads fields only from the instance, and would leave these out.
"""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


class _Fields(NamedTuple):
    """The names of the fields of one class: of all, and of those that only the class may have."""

    names: tuple[str, ...]
    of_class: tuple[str, ...]


def complete_fields(value: object) -> bool:
    """Set such fields on each instance inside of a value. Returns whether there were any.

    Raises `AttributeError` for an instance without one of its attributes: msgspec would leave it out.
    """
    found = False
    waiting: list[Any] = [value]
    while waiting:
        each = waiting.pop()
        inside: Iterable[Any]
        if isinstance(each, dict):
            inside = each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            inside = each
        else:
            fields = _fields(type(each))
            if fields.of_class:
                found |= _complete_one(each, fields.of_class)
            inside = [getattr(each, name) for name in fields.names]
        waiting += [part for part in inside if type(part) not in _LEAVES]
    return found


def _complete_one(instance: Any, names: tuple[str, ...]) -> bool:
    missing = [name for name in names if name not in vars(instance)]
    for name in missing:
        object.__setattr__(instance, name, getattr(instance, name))  # it may be frozen
    return bool(missing)


# Weak references: a worker that reloads its code has new classes each time.
_known: "WeakKeyDictionary[type, _Fields]" = WeakKeyDictionary()


def _fields(kind: type) -> _Fields:
    if (known := _known.get(kind)) is None:
        known = _known[kind] = _read_fields(kind)
    return known


def _read_fields(kind: type) -> _Fields:
    if issubclass(kind, msgspec.Struct):
        return _Fields(kind.__struct_fields__, ())
    if dataclasses.is_dataclass(kind):
        names = tuple(field.name for field in dataclasses.fields(kind))
        # If a class has only slots, its attribute of that name is the slot, and no default.
        has_dict = kind.__dictoffset__ != 0
        return _Fields(names, tuple(each for each in names if has_dict and _is_default(kind, each)))
    return _Fields(tuple(field.name for field in getattr(kind, "__attrs_attrs__", ())), ())


def _is_default(kind: type, name: str) -> bool:
    return hasattr(kind, name) and not inspect.ismemberdescriptor(getattr(kind, name))
