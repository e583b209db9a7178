"""Looks for parts inside of a type: they decide which library reads it, and which checks are needed."""

import contextlib
import dataclasses
import sys
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

_OPEN = (Any, object, dict, list, tuple, set, frozenset, Decimal, msgspec.Raw)
"""Types whose values may hold things that the type does not describe. A decimal number may be NaN."""
_MARKS = ("__get_pydantic_core_schema__", "__pydantic_validator__", "__pydantic_config__")
"""Attributes of classes that pydantic reads; dataclasses and TypedDicts may have the last one."""
_OF_PYDANTIC = ("pydantic", "pydantic_core", "annotated_types")


def parts_of(annotation: Any) -> Iterator[Any]:
    """Yield a type, every type inside of it, and the metadata of `Annotated` and of fields."""
    seen: list[Any] = []  # a list: metadata may be unhashable
    waiting = [annotation]
    while waiting:
        each = waiting.pop()
        if any(each is other for other in seen):
            continue
        seen.append(each)
        yield each
        waiting += _inside(each)


def pydantic_part(annotation: Any) -> Any:
    """Return the first part of a type that only pydantic can read; `None` if there is none."""
    return next((each for each in parts_of(annotation) if _belongs_to_pydantic(each)), None)


def is_closed(annotation: Any, *above: Any) -> bool:
    """Whether a type describes its values completely: no part is open, and none contains itself."""
    if any(annotation is each for each in (*_OPEN, *above)):
        return False
    return all(is_closed(each, *above, annotation) for each in _inside(annotation))


def _inside(each: Any) -> list[Any]:
    inside = [*typing.get_args(each), *getattr(each, "__metadata__", ())]
    # The attributes of a `NewType`, an alias and a `TypeVar`.
    for name in ("__supertype__", "__value__", "__bound__"):
        with contextlib.suppress(NameError):  # an alias is evaluated only here
            if (other := getattr(each, name, None)) is not None:
                inside.append(other)
    if isinstance(origin := typing.get_origin(each), type) and _has_fields(origin):
        inside.append(origin)
    if isinstance(each, type) and _has_fields(each):
        inside += _hints(each).values()
        if dataclasses.is_dataclass(each):
            inside += (field.default for field in dataclasses.fields(each))
    if isinstance(each, type):
        inside += _fields_of_model(each)
    return inside


def _fields_of_model(kind: Any) -> Iterator[Any]:
    """Yield a model's fields as pydantic has read them: annotations may name what only type checkers know."""
    if not getattr(kind, "__pydantic_complete__", True) and hasattr(kind, "model_rebuild"):
        kind.model_rebuild(raise_errors=False)  # a class that it names may be defined by now
    for field in getattr(kind, "__pydantic_fields__", {}).values():
        yield field.annotation
        yield from field.metadata


def _has_fields(kind: type) -> bool:
    return (
        issubclass(kind, msgspec.Struct)
        or dataclasses.is_dataclass(kind)
        or hasattr(kind, "__total__")  # a TypedDict, of `typing` or of `typing_extensions`
        or hasattr(kind, "__attrs_attrs__")
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # noqa: BLE001, annotations are user code; reading the type reports the error
        return {}


def _belongs_to_pydantic(part: Any) -> bool:
    own = part if isinstance(part, type) else type(part)
    if any(hasattr(own, name) for name in _MARKS):
        return True
    module = getattr(part, "__module__", None) or own.__module__
    return isinstance(module, str) and module.split(".")[0] in _OF_PYDANTIC


def is_pydantic_imported() -> bool:
    """Whether the components have imported pydantic. The worker itself does not load it."""
    return "pydantic" in sys.modules
