"""The errors for a type without a JSON Schema, and for a value that does not fit its type."""

from typing import Any

from stepflow.protocol import NoJsonForm, json_value


class NoJsonSchema(Exception):
    """Raised when a type has no JSON Schema; the text is the reason, and `hint` says what to use."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint or (
            "use a msgspec Struct, dataclass, TypedDict, dict, list, scalar, `Any` or a pydantic model"
        )


class TypeMismatch(Exception):
    """Raised when a value does not fit its declared type."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def unambiguous_value(text: bytes) -> Any:
    """Return the value of a JSON text. Raises `TypeMismatch` if it is ambiguous, as with a repeated key."""
    try:
        return json_value(text)
    except NoJsonForm as error:
        raise TypeMismatch(error.path, f"it {error.problem}") from None
