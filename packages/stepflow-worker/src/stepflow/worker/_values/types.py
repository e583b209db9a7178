"""A component's declared types: their schemas for the server, and the conversion of inputs and outputs."""

import dataclasses
from typing import Any, Protocol

import msgspec

from stepflow.worker._values.annotations import (
    is_closed,
    is_pydantic_imported,
    parts_of,
    pydantic_part,
)
from stepflow.worker._values.encoding import completed, encoded, unchecked
from stepflow.worker._values.keys import reads_keys, refuse_keys
from stepflow.worker._values.losses import refuse_losses
from stepflow.worker._values.mismatch import NoJsonSchema, TypeMismatch, unambiguous_value

# Declared types for which a check of the value's own type is enough.
_PLAIN: dict[object, type] = {
    dict: dict,
    dict[str, Any]: dict,
    list: list,
    list[Any]: list,
    str: str,
    bool: bool,
    int: int,
}
_ANY = (Any, object)


class ValueType(Protocol):
    """One declared type. `schema` is its JSON Schema."""

    schema: dict[str, Any]

    def read(self, text: bytes) -> Any:
        """Return the value of a JSON text. Raises `TypeMismatch` when it does not fit the type."""

    def write(self, value: Any) -> msgspec.Raw:
        """Return the JSON of a component's output. Raises `TypeMismatch` and `NoJsonForm`."""


def value_type(annotation: Any, *, output: bool = False) -> ValueType:
    """Return the type of an annotation. Raises `NoJsonSchema` if it has no JSON Schema.

    If a part of it needs pydantic, pydantic reads all of it. msgspec reads everything else: Structs, dataclasses,
    TypedDicts, collections, scalars and `Any`.
    """
    part = pydantic_part(annotation)
    if part is None:
        return _msgspec_type(annotation)
    if not is_pydantic_imported():
        raise NoJsonSchema(f"only pydantic reads `{part!r}`, and it is not imported")
    struct = next((each for each in parts_of(annotation) if _is_struct(each)), None)
    if struct is not None:
        raise NoJsonSchema(
            f"it has pydantic's `{part!r}` and the Struct `{struct.__qualname__}`, which nothing reads both",
            "make the Struct a dataclass or a pydantic model, or use msgspec's `Meta` in it",
        )
    if any(isinstance(each, msgspec.Meta) for each in parts_of(annotation)):
        raise NoJsonSchema(
            f"it has msgspec's `Meta` and pydantic's `{part!r}`, which nothing reads both",
            "use pydantic's `Field` in what pydantic reads",
        )
    from stepflow.worker._values.pydantic_types import PydanticType

    return PydanticType(annotation, output=output)


def _is_struct(part: Any) -> bool:
    return (
        isinstance(part, type)
        and issubclass(part, msgspec.Struct)
        and not hasattr(part, "__get_pydantic_core_schema__")
    )


def _msgspec_type(annotation: Any) -> "MsgspecType":
    try:
        return MsgspecType(annotation)
    except (TypeError, NameError, ValueError, RecursionError) as error:
        # msgspec's text has advice for its direct users; the last line says what is wrong.
        raise NoJsonSchema((str(error).splitlines() or [repr(error)])[-1]) from None


class MsgspecType:
    """A type that msgspec reads and describes."""

    def __init__(self, annotation: Any) -> None:
        self.schema = msgspec.json.schema(annotation, schema_hook=_schema_of_object)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)
        self._any = annotation in _ANY
        self._plain = next((kind for each, kind in _PLAIN.items() if each == annotation), None)
        self._reads_keys = reads_keys(annotation)
        self._is_closed = is_closed(annotation)
        parts = [*parts_of(annotation)]
        self._has_floats = any(each is float for each in parts)
        self._has_raw = any(each is msgspec.Raw for each in parts)
        self._has_dataclasses = any(
            isinstance(each, type) and dataclasses.is_dataclass(each) for each in parts
        )

    def read(self, text: bytes) -> Any:
        plain = unambiguous_value(text)
        return plain if self._any else self._decoded(text, plain)

    def write(self, value: Any) -> msgspec.Raw:
        if self._any or type(value) is self._plain:
            return encoded(value)
        text = self._text(value)
        # Structs and dataclasses are not checked when they are made. Only reading them back checks
        # every field, and it gives what the reader will get.
        try:
            read = self._decoded(text, None)
        except TypeMismatch:
            # NaN has become null, or a text if it is a key. Then `encoded` gives a better reason.
            encoded(value)
            raise
        again = self._text(read)
        if text != again:
            if completed(value):  # a dataclass, but the declared type is another one
                return self.write(value)
            encoded(value)
            refuse_losses(msgspec.json.decode(text), read)
        elif not self._is_closed or (self._has_floats and b"null" in text):
            encoded(value)
        return msgspec.Raw(msgspec.json.format(again, indent=-1) if self._has_raw else again)

    def _decoded(self, text: bytes, plain: Any) -> Any:
        try:
            read = self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _mismatch(error) from None
        if self._reads_keys:
            refuse_keys(plain or msgspec.json.decode(text), read)
        return read

    def _text(self, value: Any) -> bytes:
        text = unchecked(value)
        if (self._has_dataclasses or not self._is_closed) and completed(value):
            text = unchecked(value)
        return text


def _schema_of_object(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "Any value."}  # an empty schema would count as no schema
    raise NotImplementedError


def _mismatch(error: Exception) -> TypeMismatch:
    problem, _, path = str(error).partition(" - at `")
    return TypeMismatch(path.rstrip("`") or "$", problem)
