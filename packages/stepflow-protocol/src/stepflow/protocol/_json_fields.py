"""Fields of dataclasses that only their class has: `field(init=False, default=5)`, or what msgspec did not read.

msgspec looks for a field in the instance only, and would leave it out.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec

_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})


def complete_fields(value: object) -> bool:
    """Put such fields into each instance in a value; whether there were any."""
    found = False
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if dataclasses.is_dataclass(each) and not isinstance(each, type):
            found |= _complete_one(each)
        waiting += [part for part in _inside(each) if type(part) not in _LEAVES]
    return found


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif isinstance(value, type):
        return ()
    elif dataclasses.is_dataclass(value):
        names = tuple(field.name for field in dataclasses.fields(value))
    else:
        names = tuple(field.name for field in getattr(type(value), "__attrs_attrs__", ()))
    return [getattr(value, name, None) for name in names]


def _complete_one(instance: Any) -> bool:
    own = getattr(instance, "__dict__", None)
    if own is None:  # with slots a class has no values for them
        return False
    missing = [
        (field.name, getattr(instance, field.name))
        for field in dataclasses.fields(instance)
        if field.name not in own and hasattr(instance, field.name)
    ]
    for name, default in missing:
        object.__setattr__(instance, name, default)  # it may be frozen
    return bool(missing)
