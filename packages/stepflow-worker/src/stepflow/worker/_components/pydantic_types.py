"""Types with pydantic models in them. Imported only where the components have imported pydantic."""

import typing
from typing import Any

import msgspec
import pydantic

from stepflow.worker._components.types import Misfit


def has_model(annotation: Any) -> bool:
    """Whether a pydantic model stands anywhere in a type."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return True
    return any(has_model(each) for each in typing.get_args(annotation))


class PydanticType:
    """A type that pydantic reads and describes."""

    def __init__(self, annotation: Any, *, output: bool) -> None:
        self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(annotation)
        self.schema = self._adapter.json_schema(mode="serialization" if output else "validation")

    def read(self, text: bytes) -> Any:
        try:
            return self._adapter.validate_json(bytes(text))
        except pydantic.ValidationError as error:
            raise _misfit(error) from None

    def convert(self, value: Any) -> Any:
        try:
            checked = self._adapter.validate_python(value)
            return msgspec.Raw(self._adapter.dump_json(checked, by_alias=True, warnings="error"))
        except pydantic.ValidationError as error:
            raise _misfit(error) from None
        except ValueError as error:  # a field was assigned something that its type excludes
            raise Misfit("$", str(error)) from None


def _misfit(error: pydantic.ValidationError) -> Misfit:
    first = error.errors(include_url=False, include_input=False)[0]
    steps = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"])
    return Misfit("$" + "".join(steps), first["msg"])
