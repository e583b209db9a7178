"""Turns Python values into JSON: outputs, blobs, the inputs of runs, the data of errors."""

from typing import Any

import msgspec

from stepflow.protocol import complete_fields, json_text
from stepflow.worker._values.subclasses import base_form


def encoded(value: Any) -> msgspec.Raw:
    """Return a value as JSON. Raises `NoJsonForm`, with the place, for a value without a JSON form."""
    return msgspec.Raw(json_text(value, _other))


def unchecked(value: Any) -> bytes:
    """Return what msgspec writes for a value, even if a part of it is lost. Raises `NoJsonForm`."""
    try:
        return msgspec.json.encode(value, enc_hook=_other)
    except (TypeError, ValueError, RecursionError, OverflowError, AttributeError):
        return bytes(encoded(value))  # raises `NoJsonForm` with the place


def completed(value: object) -> bool:
    """Do what `complete_fields` does. Raises `NoJsonForm` for an object that lacks an attribute."""
    try:
        return complete_fields(value)
    except AttributeError:
        encoded(value)  # raises `NoJsonForm` with the place
        raise


def _other(value: Any) -> object:
    """Return what to write for an object that msgspec does not know."""
    if hasattr(type(value), "__pydantic_serializer__"):
        from stepflow.worker._values.pydantic_forms import model_form

        return model_form(value)
    return base_form(value)
