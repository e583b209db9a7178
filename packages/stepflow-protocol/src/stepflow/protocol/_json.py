"""Turns Python values into JSON and back. A value that would be changed or lost is refused.

msgspec alone is not enough. It writes NaN as null, it writes two keys with the same name, and it reads only the last
of them; and it has no limit of depth. So a value is first converted to a type that allows none of this, which is
fast. Only a value that does not fit is checked part by part.
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
"""How deep the fast check goes; each level doubles the size of its type."""


def _plain(depth: int) -> Any:
    """Return the type of plain JSON values: their keys are texts, and their numbers are finite."""
    scalar = _FINITE | bool | int | str | None
    if depth == 0:
        return scalar
    inner = _plain(depth - 1)
    return scalar | list[inner] | dict[str, inner]  # type: ignore[valid-type]


class _Plain(msgspec.Struct):
    value: _plain(_QUICK_DEPTH)  # type: ignore[valid-type]


_plain_values: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_plain(_QUICK_DEPTH))


def json_text(value: object, other: Other = None) -> bytes:
    """Return a value as compact JSON. Raises `NoJsonForm`, with the place, for a part without a JSON form.

    other: returns what to write for an object that msgspec cannot write, or raises `TypeError`.
    """
    try:
        text = msgspec.json.encode(value, enc_hook=other)
        if _is_plain(value):
            return text
        if complete_fields(value):
            text = msgspec.json.encode(value, enc_hook=other)
        if _is_complete(value, text, other):
            return text
    except _FAILURES as error:
        _refuse(value, other)
        raise NoJsonForm("$", f"has no JSON form: {error}") from None
    _refuse(value, other)
    return msgspec.json.format(text, indent=-1)  # a `Raw` may have been written over several lines


def json_value(text: bytes | msgspec.Raw) -> Any:
    """Return the value of a JSON text. Raises `NoJsonForm`, with the place, for an ambiguous part.

    Ambiguous are, for example, an object with two keys of the same name, and a number that is too large.
    """
    text = bytes(text)
    try:
        value = _plain_values.decode(text)
        if msgspec.json.encode(value) == text:  # otherwise two equal keys may have become one
            return value
    except _FAILURES:
        pass
    from stepflow.protocol._json_texts import parsed

    value = parsed(text)
    json_text(value)  # also refuses a `Fault`, with its place
    return value


def _is_plain(value: object) -> bool:
    try:
        msgspec.convert({"value": value}, _Plain)
    except msgspec.ValidationError:
        return False
    return True


def _is_complete(value: object, text: bytes, other: Other) -> bool:
    """Whether the text contains all of a value with Structs, dataclasses, dates or similar objects."""
    plain = msgspec.to_builtins(value, enc_hook=_with_raw(other))
    if not _is_plain(plain) or b"NaN" in text or b"Infinity" in text:
        return False
    return msgspec.json.encode(plain) == text  # otherwise two equal keys have become one


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
