"""A component's declared types at work: schemas for the server, conversion of what goes in and out."""

from typing import Any, Protocol

import msgspec

from stepflow.worker._components.annotations import (
    Defaults,
    is_pydantic_there,
    parts_of,
    pydantic_part,
    says_all,
)
from stepflow.worker._components.encoding import encoded, unchecked

# Where looking at the value's own type says everything that the declared type says.
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


class Undescribable(Exception):
    """Raised when a type has no JSON form; the text is the reason."""


class Misfit(Exception):
    """Raised when a value does not fit its declared type."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


class ValueType(Protocol):
    """One declared type. `schema` is its JSON Schema."""

    schema: dict[str, Any]

    def read(self, text: bytes) -> Any:
        """Return the value that a JSON text stands for. Raises `Misfit`."""

    def write(self, value: Any) -> msgspec.Raw:
        """Return a value that was returned as JSON. Raises `Misfit` and `NoJsonForm`."""


def value_type(annotation: Any, *, output: bool = False) -> ValueType:
    """Return the type that an annotation stands for. Raises `Undescribable`.

    Where something in it is pydantic's, pydantic reads all of it. What is left is msgspec's: Structs, dataclasses,
    TypedDicts, collections, scalars and `Any`.
    """
    part = pydantic_part(annotation)
    if part is None:
        return _msgspec_type(annotation)
    if not is_pydantic_there():
        raise Undescribable(f"only pydantic reads `{part!r}`, and it is not imported")
    if any(isinstance(each, msgspec.Meta) for each in parts_of(annotation)):
        raise Undescribable(
            f"it has msgspec's `Meta` and pydantic's `{part!r}`, which nothing reads both"
        )
    from stepflow.worker._components.pydantic_types import PydanticType

    return PydanticType(annotation, output=output)


def _msgspec_type(annotation: Any) -> "MsgspecType":
    try:
        return MsgspecType(annotation)
    except (TypeError, NameError, ValueError, RecursionError) as error:
        # The advice in msgspec's own text concerns its callers; the last line says what is wrong.
        raise Undescribable(str(error).splitlines()[-1]) from None


class MsgspecType:
    """A type that msgspec reads and describes."""

    def __init__(self, annotation: Any) -> None:
        self.schema = msgspec.json.schema(annotation, schema_hook=_schema_of_object)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)
        self._any = annotation in _ANY
        self._plain = next((kind for each, kind in _PLAIN.items() if each == annotation), None)
        self._defaults = Defaults(annotation)
        self._says_all = says_all(annotation)
        self._has_floats = any(each is float for each in parts_of(annotation))

    def read(self, text: bytes) -> Any:
        try:
            value = self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _misfit(error) from None
        if self._defaults:
            self._defaults.fill(value)
        return value

    def write(self, value: Any) -> msgspec.Raw:
        if self._any or type(value) is self._plain:
            return encoded(value)
        text = unchecked(value)
        # Instances of Structs and dataclasses are not checked when they are made. Reading them
        # back is the only check that sees every field, and gives what the reader will get.
        try:
            again = unchecked(self.read(text))
        except Misfit:
            # NaN has become null, which fits no number; its name is the better reason.
            encoded(value)
            raise
        if text != again or not self._says_all or (self._has_floats and b"null" in text):
            encoded(value)
        return msgspec.Raw(again)


def _schema_of_object(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "Any value."}  # an empty schema would count as none
    raise NotImplementedError


def _misfit(error: Exception) -> Misfit:
    problem, _, path = str(error).partition(" - at `")
    return Misfit(path.rstrip("`") or "$", problem)
