"""Turns pydantic's values into JSON, and checks that nothing is lost. Imported only if pydantic is."""

import enum
import inspect
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pydantic

from stepflow.protocol import NoJsonForm, format_path, json_text, json_value
from stepflow.worker._values.losses import lost
from stepflow.worker._values.mismatch import TypeMismatch
from stepflow.worker._values.subclasses import base_form

_anything: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Any)
_FIELD_NAME = re.compile(r"field_name='(\w+)'")


def known(function: Any, **arguments: Any) -> dict[str, Any]:
    """Return the arguments that this version of pydantic takes."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in arguments.items() if name in known}


_WITH_SUBCLASSES = known(_anything.serializer.to_json, polymorphic_serialization=True)


def model_form(model: Any) -> object:
    """Return what to write for a model, or another object whose class has a pydantic serializer."""
    own = type(model)
    schema = _Schema(own.__pydantic_serializer__, getattr(own, "__pydantic_validator__", None))
    written = checked_text(schema.serializer, model, form_text(schema, model))
    return msgspec.json.decode(written)


class _Schema(NamedTuple):
    """pydantic's serializer and validator of a class. A `TypeAdapter` has the same attributes."""

    serializer: Any
    validator: Any


def checked_text(serializer: Any, value: Any, text: bytes) -> msgspec.Raw:
    """Return the JSON that pydantic has written for a value. Raises `NoJsonForm` if a part is lost."""
    form = json_value(text)
    written = msgspec.Raw(_encoded(form))
    parts = _parts(serializer, value)
    if parts is not value:  # otherwise it has no parts, like a `SecretStr`
        _check_unchanged(form, written, parts)
    return written


def reads_back(text: bytes) -> bool:
    """Whether a JSON text is unambiguous: it has no repeated keys, and no integers that are too long."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text)) == text
    except msgspec.DecodeError:
        return False


def _parts(serializer: Any, value: Any) -> Any:
    # Without warnings: they would show the value.
    return serializer.to_python(value, by_alias=True, warnings=False)


def form_text(schema: Any, value: Any) -> bytes:
    serializer = schema.serializer
    try:
        text: bytes = serializer.to_json(value, by_alias=True, warnings="error")
        if b"NaN" in text or b"Infinity" in text:
            msgspec.json.decode(text)  # a model may be configured to write them as numbers
        # `text` has no fields that a subclass adds; this has them.
        whole = serializer.to_json(value, by_alias=True, warnings=False, **_WITH_SUBCLASSES)
    except ValueError as error:  # a field was assigned something that its type excludes
        raise _no_form_error(schema, value, error) from None
    if whole != text:
        _refuse_narrowed(_names_in(whole), _names_in(text), ())
    return text


def _names_in(text: bytes) -> Any:
    return json.loads(text, parse_int=str)  # as text, as they may be of any length


def _refuse_narrowed(whole: Any, form: Any, at: tuple[str | int, ...]) -> None:
    if isinstance(whole, dict) and isinstance(form, dict):
        for name, each in whole.items():
            if name not in form:
                raise lost((*at, name))
            _refuse_narrowed(each, form[name], (*at, name))
    elif isinstance(whole, list) and isinstance(form, list):
        for index, (each, written) in enumerate(zip(whole, form, strict=False)):
            _refuse_narrowed(each, written, (*at, index))


def refuse_extra(extra: list[tuple[str | int, ...]], form: Any) -> None:
    """Refuse extra values that are not written. Computed fields are written, and those of `extra="allow"`."""
    for at in extra:
        part = form
        try:
            for step in at:
                part = part[step]
        except (LookupError, TypeError):
            raise lost(at) from None


def _check_unchanged(form: object, written: msgspec.Raw, value: object) -> None:
    """Refuse losses: pydantic writes NaN as null, and two keys with the same name or without one."""
    try:
        if _encoded(value) == bytes(written):
            return
    except NoJsonForm:
        pass  # compare the parts: pydantic can write values that msgspec cannot
    _compare(form, value, "$")


def _compare(form: Any, value: Any, at: str) -> None:
    """Refuse a value that its JSON form does not contain. A form of another shape is accepted: the
    author of the class has chosen it.
    """
    if isinstance(value, dict) and isinstance(form, dict):
        for key in value:
            _check({key: None}, at)
        if len(form) < len(value):
            raise NoJsonForm(at, "has two keys of one name")
        if len(form) == len(value):
            for name, each in zip(form, value.values(), strict=True):
                _compare(form[name], each, f"{at}.{name}")
    elif isinstance(value, list | tuple) and isinstance(form, list):
        for index, (written, each) in enumerate(zip(form, value, strict=False)):
            _compare(written, each, f"{at}[{index}]")
    elif isinstance(value, set | frozenset) and isinstance(form, list):
        for index, each in enumerate(value):  # the order of the list is another one
            _compare_in_set(each, f"{at}[{index}]")
    elif isinstance(value, Decimal) or (form is None and value is not None):
        _check(value, at)


def _compare_in_set(value: Any, at: str) -> None:
    if isinstance(value, tuple | frozenset):
        for index, each in enumerate(value):
            _compare_in_set(each, f"{at}[{index}]")
    elif isinstance(value, float | Decimal | enum.Enum):
        _check(value, at)


def _check(value: object, at: str) -> None:
    try:
        _encoded(value)
    except NoJsonForm as error:
        raise NoJsonForm(at, error.problem) from None


def _no_form_error(schema: Any, value: Any, error: ValueError) -> NoJsonForm:
    """Return the error for a value that pydantic could not write, with its place if that can be found."""
    parts: Any = None
    try:
        parts = _parts(schema.serializer, value)
        _encoded(parts)
        if schema.validator is not None:
            schema.validator.validate_python(parts)
        _refuse_unwritable(parts, "$")
    except NoJsonForm as no_form:
        return no_form
    except pydantic.ValidationError as refused:
        found = mismatch(refused, parts)
        return NoJsonForm(found.path, f"does not fit its type any more: {found.problem}")
    except ValueError:
        pass
    # The text of `error` may show the value, which may be secret.
    if names := _FIELD_NAME.findall(str(error)):
        places = [*_places_of(names[0], parts, ())]
        if len(places) == 1:
            return NoJsonForm(format_path(places[0]), "does not fit its type any more")
        return NoJsonForm("$", f"has a field `{names[0]}` that does not fit its type any more")
    return NoJsonForm("$", f"has no JSON form: {' '.join(str(error).split())}")


def _places_of(name: str, value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == name:
                yield (*at, key)
            yield from _places_of(name, each, (*at, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _places_of(name, each, (*at, index))


def _refuse_unwritable(value: Any, at: str) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _refuse_unwritable(each, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _refuse_unwritable(each, f"{at}[{index}]")
    else:
        try:
            _anything.dump_json(value)
        except ValueError as error:
            raise NoJsonForm(at, f"has no JSON form: {error}") from None


def mismatch(error: pydantic.ValidationError, value: Any) -> TypeMismatch:
    first = error.errors(include_url=False, include_input=False)[0]
    at = place_in(value, first["loc"], missing=first["type"] == "missing")
    return TypeMismatch(format_path(at), first["msg"])


def place_in(value: Any, loc: tuple[str | int, ...], *, missing: bool) -> tuple[str | int, ...]:
    """Return the place in a value that a `loc` of pydantic means."""
    place: list[str | int] = []
    for index, step in enumerate(loc):
        try:
            value = _part(value, step)
        except (LookupError, TypeError, AttributeError):
            # The step is a missing part, or names a type of a union, which is not a place.
            if not (missing and index == len(loc) - 1):
                continue
        place.append(step)
    return tuple(place)


def _part(value: Any, step: str | int) -> Any:
    if isinstance(value, dict | list | tuple):
        return value[step]  # type: ignore[index]
    return getattr(value, str(step))


def _encoded(value: object) -> bytes:
    return json_text(value, base_form)
