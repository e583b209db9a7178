"""Turns Python values into JSON and back, or refuses them: nothing is changed or lost on the way.

msgspec writes the text, and would write NaN as null, both of two keys that have one name, and any depth. It reads
the last of two such keys, and any depth. So the value is tried on a type that leaves none of this room; only what
does not fit is looked at part by part.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from stepflow.protocol._json_fields import complete_fields
from stepflow.protocol._json_limits import Other
from stepflow.protocol.errors import NoJsonForm

_FAILURES = (TypeError, ValueError, RecursionError, OverflowError, AttributeError)
_FINITE = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_QUICK_DEPTH = 7
"""How deep the quick look goes; each level doubles the size of its type."""


def _plain(depth: int) -> Any:
    """The type of what JSON has itself: keys are text, and numbers are finite."""
    scalar = _FINITE | bool | int | str | None
    if depth == 0:
        return scalar
    inner = _plain(depth - 1)
    return scalar | list[inner] | dict[str, inner]  # type: ignore[valid-type]


class _Plain(msgspec.Struct):
    value: _plain(_QUICK_DEPTH)  # type: ignore[valid-type]


_plain_values: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_plain(_QUICK_DEPTH))


def json_text(value: object, other: Other = None) -> bytes:
    """Return a value as compact JSON. Raises `NoJsonForm` with the place of what has none.

    other: returns what to write for an object that msgspec does not know; raises `TypeError` when it does not
    know it either.
    """
    try:
        text = msgspec.json.encode(value, enc_hook=other)
        if _is_plain(value):
            return text
        if complete_fields(value):
            text = msgspec.json.encode(value, enc_hook=other)
        if _is_said(value, text, other):
            return text
    except _FAILURES as error:
        _refuse(value, other)
        raise NoJsonForm("$", f"has no JSON form: {error}") from None
    _refuse(value, other)
    return msgspec.json.format(text, indent=-1)  # a `Raw` may have been written over several lines


def json_value(text: bytes | msgspec.Raw) -> Any:
    """Return what a JSON text says. Raises `NoJsonForm` with the place of what says nothing for sure."""
    text = bytes(text)
    try:
        value = _plain_values.decode(text)
        if msgspec.json.encode(value) == text:  # else two keys of one name may have become one
            return value
    except _FAILURES:
        pass
    from stepflow.protocol._json_texts import parsed

    value = parsed(text)
    json_text(value)  # refuses a `Fault`, too, with its place
    return value


def _is_plain(value: object) -> bool:
    try:
        msgspec.convert({"value": value}, _Plain)
    except msgspec.ValidationError:
        return False
    return True


def _is_said(value: object, text: bytes, other: Other) -> bool:
    """Whether the text says for sure what a value with Structs, dataclasses, dates and the like says."""
    plain = msgspec.to_builtins(value, enc_hook=_with_raw(other))
    if not _is_plain(plain) or b"NaN" in text or b"Infinity" in text:
        return False
    return msgspec.json.encode(plain) == text  # else two keys of one name have become one


def _with_raw(other: Other) -> Callable[[Any], object]:
    def builtins(value: Any) -> object:
        if isinstance(value, msgspec.Raw):
            return json_value(value)
        if other is None:
            raise TypeError
        return other(value)

    return builtins


def _refuse(value: object, other: Other) -> None:
    from stepflow.protocol._json_places import refuse

    try:
        refuse(value, other)
    except RecursionError:  # the caller is deep inside calls already
        raise NoJsonForm("$", "is nested too deeply") from None
