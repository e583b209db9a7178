"""How Python values become JSON, whatever carries them: outputs, blobs, the inputs of runs, an error's data."""

from typing import Any

import msgspec

from stepflow.protocol import complete_fields, json_text
from stepflow.worker._components.subclasses import base_form


def encoded(value: Any) -> msgspec.Raw:
    """Return a value as JSON. Raises `NoJsonForm` with the place of what has none."""
    return msgspec.Raw(json_text(value, _other))


def unchecked(value: Any) -> bytes:
    """Return what msgspec writes for a value, even where that loses something. Raises `NoJsonForm`."""
    try:
        return msgspec.json.encode(value, enc_hook=_other)
    except (TypeError, ValueError, RecursionError, OverflowError, AttributeError):
        return bytes(encoded(value))  # knows the place


def completed(value: object) -> bool:
    """Do what `complete_fields` does. Raises `NoJsonForm` for an object that lacks an attribute."""
    try:
        return complete_fields(value)
    except AttributeError:
        encoded(value)  # knows the place
        raise


def _other(value: Any) -> object:
    """Return what to write for an object that msgspec does not know."""
    if hasattr(type(value), "__pydantic_serializer__"):
        from stepflow.worker._components.pydantic_forms import model_form

        return model_form(value)
    return base_form(value)
