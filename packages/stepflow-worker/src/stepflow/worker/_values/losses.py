"""Refuses outputs of which the declared type would leave out a part: a subclass's field, a misspelt key of a dict."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import msgspec

from stepflow.protocol import NoJsonForm, format_path

PROBLEM = "has no place in the declared type, which would leave it out"


def refuse_losses(plain: Any, read: Any, at: tuple[str | int, ...] = ()) -> None:
    """Raise `NoJsonForm` for the first part of a JSON value that the type leaves out.

    plain: the JSON value. read: what the type has read from it. at: its place.
    """
    if isinstance(plain, list):
        parts = elements(read)
        if parts is None:
            return
        if len(parts) < len(plain):
            raise lost((*at, len(parts)))
        if not isinstance(read, set | frozenset):  # whose order is not the order of the list
            for index, (each, part) in enumerate(zip(plain, parts, strict=False)):
                refuse_losses(each, part, (*at, index))
    elif isinstance(plain, dict):
        if (read_for := members(read, plain)) is None:
            return
        for name, each in plain.items():
            if name not in read_for:
                raise lost((*at, name))
            refuse_losses(each, read_for[name], (*at, name))


def lost(at: Iterable[str | int]) -> NoJsonForm:
    """Return the error for a part that the type would leave out."""
    return NoJsonForm(format_path(at), PROBLEM)


def elements(read: Any) -> Any:
    """Return what was read for each element of a list; `None` if that is not known."""
    if isinstance(read, list | tuple | set | frozenset):
        return read
    if isinstance(read, msgspec.Struct):  # one that is written as an array
        return [getattr(read, name) for name in read.__struct_fields__]
    return None


def members(read: Any, plain: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was read for each name of an object; `None` if that is not known.

    The keys of a dict may be of another type than the names: numbers, for example.
    """
    if isinstance(read, dict):
        if len(read) == len(plain):
            return dict(zip(plain, read.values(), strict=True))
        return read
    if isinstance(read, msgspec.Struct):
        names = zip(read.__struct_encode_fields__, read.__struct_fields__, strict=True)
        members = {name: getattr(read, field) for name, field in names}
        if (tag := read.__struct_config__.tag_field) is not None:
            members[tag] = None
        return members
    if dataclasses.is_dataclass(read):
        return {field.name: getattr(read, field.name, None) for field in dataclasses.fields(read)}
    if (fields := getattr(type(read), "__attrs_attrs__", None)) is not None:
        return {field.name: getattr(read, field.name, None) for field in fields}
    return None
