"""Types with something of pydantic in them. Imported only where the components have imported pydantic."""

from decimal import Decimal
from typing import Any

import msgspec
import pydantic

from stepflow.protocol import NoJsonForm
from stepflow.worker._components.encoding import encoded
from stepflow.worker._components.types import Misfit, Undescribable

_anything: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Any)
_SAYING = {"type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"}
"""Members of a JSON Schema without one of which it says nothing about the value."""
_DOUBTFUL = (b"null", b"NaN", b"Infinity")


class PydanticType:
    """A type that pydantic reads and describes."""

    def __init__(self, annotation: Any, *, output: bool) -> None:
        try:
            self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
            self.schema = self._adapter.json_schema(
                mode="serialization" if output else "validation"
            )
        except Exception as error:  # noqa: BLE001, annotations and the hooks in them are user code
            raise Undescribable(str(error).split("\n\n")[0].splitlines()[0]) from None
        self._is_open = _is_open(self.schema)
        # A definition in another may be in itself.
        self._is_flat = "$ref" not in str(self.schema.get("$defs", ""))

    def read(self, text: bytes) -> Any:
        text = bytes(text)
        try:
            plain = msgspec.json.decode(text)  # refuses `1e999`, pydantic's infinity
            return self._adapter.validate_json(text)
        except msgspec.DecodeError as error:
            raise Misfit("$", str(error)) from None
        except pydantic.ValidationError as error:
            raise _misfit(error, plain) from None

    def write(self, value: Any) -> msgspec.Raw:
        try:
            checked = self._adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise _misfit(error, value) from None
        serializer = self._adapter.serializer
        if self._is_flat and not self._is_open:
            text = _text(serializer, checked)
            if not any(each in text for each in _DOUBTFUL):
                return msgspec.Raw(text)
        return _written(serializer, checked)


def model_form(model: Any) -> object:
    """Return what to write for a model, or another object whose class knows how pydantic writes it."""
    written = _written(type(model).__pydantic_serializer__, model)
    return msgspec.json.decode(written)


def _is_open(schema: Any) -> bool:
    """Whether a JSON Schema has room for names that the value brings along."""
    if not isinstance(schema, dict):
        return bool(schema)
    if not schema.keys() & _SAYING:
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


def _written(serializer: Any, value: Any) -> msgspec.Raw:
    """Return a value as JSON, by the names that it has there, once it is known to say the same."""
    form = msgspec.json.decode(_text(serializer, value))
    written = encoded(form)
    parts = serializer.to_python(value, by_alias=True)
    if parts is not value:  # else it has none, as a `SecretStr`
        _check_unchanged(form, written, parts)
    return written


def _text(serializer: Any, value: Any) -> bytes:
    try:
        text: bytes = serializer.to_json(value, by_alias=True, warnings="error")
        if b"NaN" in text or b"Infinity" in text:
            msgspec.json.decode(text)  # a model may be configured to write them as numbers
        return text
    except ValueError as error:  # a field was assigned something that its type excludes
        raise _lacking(serializer, value, " ".join(str(error).split())) from None


def _check_unchanged(form: object, written: msgspec.Raw, value: object) -> None:
    """pydantic writes NaN as null, both of two keys that have one name, and any key in some way."""
    try:
        if bytes(encoded(value)) == bytes(written):
            return
    except NoJsonForm:
        pass  # only a reason to look closely: what pydantic writes need not have a form for msgspec
    _compare(form, value, "$")


def _compare(form: Any, value: Any, at: str) -> None:
    """Refuse a value that its JSON form does not say. What has another shape in it, its author chose so."""
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
    elif isinstance(value, Decimal) or (form is None and value is not None):
        _check(value, at)


def _check(value: object, at: str) -> None:
    try:
        encoded(value)
    except NoJsonForm as error:
        raise NoJsonForm(at, error.problem) from None


def _lacking(serializer: Any, value: Any, problem: str) -> NoJsonForm:
    """The error for a value that pydantic could not write, with its place where that can be found."""
    try:
        parts = serializer.to_python(value, by_alias=True)
        encoded(parts)
        _look(parts, "$")
    except NoJsonForm as error:
        return error
    except ValueError:
        pass
    return NoJsonForm("$", f"has no JSON form: {problem}")


def _look(value: Any, at: str) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            _look(each, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            _look(each, f"{at}[{index}]")
    else:
        try:
            _anything.dump_json(value)
        except ValueError as error:
            raise NoJsonForm(at, f"has no JSON form: {error}") from None


def _misfit(error: pydantic.ValidationError, value: Any) -> Misfit:
    first = error.errors(include_url=False, include_input=False)[0]
    place, missing = "$", first["type"] == "missing"
    for index, step in enumerate(first["loc"]):
        try:
            value = _part(value, step)
        except (LookupError, TypeError, AttributeError):
            # A part that is not there, or the name of one of a union's types, which is no place.
            if not (missing and index == len(first["loc"]) - 1):
                continue
        place += f"[{step}]" if isinstance(step, int) else f".{step}"
    return Misfit(place, first["msg"])


def _part(value: Any, step: str | int) -> Any:
    if isinstance(value, dict | list | tuple):
        return value[step]  # type: ignore[index]
    return getattr(value, str(step))
