"""Types that contain something of pydantic. Imported only if the components have imported pydantic."""

from typing import Any

import msgspec
import pydantic
import pydantic_core

from stepflow.worker._values.keys import reads_keys, refuse_keys
from stepflow.worker._values.mismatch import NoJsonSchema, unambiguous_value
from stepflow.worker._values.pydantic_constraints import wrong_constraint
from stepflow.worker._values.pydantic_forms import (
    checked_text,
    form_text,
    known,
    mismatch,
    place_in,
    reads_back,
    refuse_extra,
)

_CONSTRAINTS = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
"""Members of a JSON Schema; a schema without any of them allows every value."""
_DOUBTFUL = (b"null", b"NaN", b"Infinity")
"""Texts in the JSON that may stand for a number that is not finite."""
_EXTRA = ("extra_forbidden", "unexpected_keyword_argument")
_STRICTLY = known(pydantic.TypeAdapter.validate_python, extra="forbid")


class PydanticType:
    """A type that pydantic reads and describes."""

    def __init__(self, annotation: Any, *, output: bool) -> None:
        try:
            self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
            self.schema = self._adapter.json_schema(
                mode="serialization" if output else "validation"
            )
        except pydantic_core.SchemaError as error:
            raise NoJsonSchema(_schema_reason(error), "correct what its `Field`s say") from None
        except Exception as error:  # noqa: BLE001, annotations and the hooks in them are user code
            raise NoJsonSchema(_reason(error)) from None
        if (problem := wrong_constraint(self._adapter.core_schema)) is not None:
            raise NoJsonSchema(problem, "leave it out, or declare a type that it is for")
        self._is_open = _is_open(self.schema)
        # A definition that refers to another one may contain itself.
        self._is_flat = "$ref" not in str(self.schema.get("$defs", ""))
        self._reads_keys = reads_keys(annotation)

    def read(self, text: bytes) -> Any:
        plain = unambiguous_value(text)  # refuses `1e999` too, which pydantic reads as infinity
        try:
            read = self._adapter.validate_json(bytes(text))
        except pydantic.ValidationError as error:
            raise mismatch(error, plain) from None
        if self._reads_keys:
            refuse_keys(plain, read)
        return read

    def write(self, value: Any) -> msgspec.Raw:
        checked, extra = self._checked(value)
        if self._reads_keys:
            refuse_keys(value, checked)
        serializer = self._adapter.serializer
        text = form_text(self._adapter, checked)
        is_certain = self._is_flat and not self._is_open and not any(e in text for e in _DOUBTFUL)
        if is_certain and reads_back(text):
            written = msgspec.Raw(text)
        else:
            written = checked_text(serializer, checked, text)
        if extra:
            refuse_extra(extra, msgspec.json.decode(written))
        return written

    def _checked(self, value: Any) -> tuple[Any, list[tuple[str | int, ...]]]:
        """Return the value as its type reads it, and the places of parts that it may have left out."""
        extra: list[tuple[str | int, ...]] = []
        try:
            return self._adapter.validate_python(value, **_STRICTLY), extra
        except pydantic.ValidationError as error:
            for each in error.errors(include_url=False, include_input=False, include_context=False):
                if each["type"] in _EXTRA:
                    extra.append(place_in(value, each["loc"], missing=False))
        try:
            return self._adapter.validate_python(value), extra
        except pydantic.ValidationError as error:
            raise mismatch(error, value) from None


def _reason(error: Exception) -> str:
    """Return the first line of pydantic's error, without its advice to direct users of pydantic."""
    first = (str(error).splitlines() or [""])[0].partition(". Set `arbitrary_types_allowed")[0]
    return first or repr(error)


def _schema_reason(error: pydantic_core.SchemaError) -> str:
    """Return the first line of the error, which names the part, and the last one, which says why."""
    lines = str(error).splitlines()
    return f"{lines[0]} {lines[-1].strip().removeprefix('error: ')}" if lines[1:] else lines[0]


def _is_open(schema: Any) -> bool:
    """Whether a JSON Schema allows an object with members that the schema does not name."""
    if not isinstance(schema, dict):
        return bool(schema)
    if not schema.keys() & _CONSTRAINTS:
        return True
    if schema.get("type") == "object" and schema.get(
        "additionalProperties", "properties" not in schema
    ):
        return True
    parts = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    for several in ("anyOf", "oneOf", "allOf", "prefixItems"):
        parts += schema.get(several, ())
    if schema.get("type") == "array" and "prefixItems" not in schema:
        parts.append(schema.get("items", True))
    return any(map(_is_open, parts))
