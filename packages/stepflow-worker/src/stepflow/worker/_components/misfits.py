"""A type that cannot be described, and a value that does not fit its type."""

from typing import Any

from stepflow.protocol import NoJsonForm, json_value


class Undescribable(Exception):
    """Raised when a type has no JSON form; the text is the reason, and `hint` what to use."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint or (
            "use a msgspec Struct, dataclass, TypedDict, dict, list, scalar, `Any` or a pydantic model"
        )


class Misfit(Exception):
    """Raised when a value does not fit its declared type."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def sayable(text: bytes) -> Any:
    """Return what a JSON text says. Raises `Misfit` where that is nothing for sure."""
    try:
        return json_value(text)
    except NoJsonForm as error:
        raise Misfit(error.path, f"it {error.problem}") from None
