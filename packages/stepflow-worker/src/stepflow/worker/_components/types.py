"""A component's declared types at work: schemas for the server, conversion of what goes in and out."""

import sys
from typing import Any, Protocol

import msgspec

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
_encoder = msgspec.json.Encoder()


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

    def convert(self, value: Any) -> Any:
        """Return what to encode for a returned value. Raises `Misfit`."""


def no_json_form(error: Exception) -> str:
    """Say why a value could not be encoded."""
    advice = "; return plain values, dataclasses or Structs" if type(error) is TypeError else ""
    return f"it has no JSON form: {error}{advice}"


def value_type(annotation: Any, *, output: bool = False) -> ValueType:
    """Return the type that an annotation stands for. Raises `Undescribable`.

    msgspec knows Structs, dataclasses, TypedDicts, collections, scalars and `Any`; what it does
    not know, pydantic is asked, if the components imported it.
    """
    try:
        return MsgspecType(annotation)
    except (TypeError, NameError, ValueError, RecursionError) as error:
        # The advice in msgspec's own text concerns its callers; the last line says what is wrong.
        problem = str(error).splitlines()[-1]
    if "pydantic" in sys.modules:
        from stepflow.worker._components.pydantic_types import PydanticType, has_model

        if has_model(annotation):
            return PydanticType(annotation, output=output)
    raise Undescribable(problem)


class MsgspecType:
    """A type that msgspec reads and describes."""

    def __init__(self, annotation: Any) -> None:
        self.schema = msgspec.json.schema(annotation)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(annotation)
        self._any = annotation is Any
        self._plain = next((kind for each, kind in _PLAIN.items() if each == annotation), None)

    def read(self, text: bytes) -> Any:
        try:
            return self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _misfit(error) from None

    def convert(self, value: Any) -> Any:
        if self._any or type(value) is self._plain:
            return value
        # Instances of Structs and dataclasses are not checked when they are made. Reading them
        # back is the only check that sees every field, and gives what the reader will get.
        try:
            text = _encoder.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise Misfit("$", no_json_form(error)) from None
        return self.read(text)


def _misfit(error: Exception) -> Misfit:
    problem, _, path = str(error).partition(" - at `")
    return Misfit(path.rstrip("`") or "$", problem)
