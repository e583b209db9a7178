"""Checks the texts in a flow as soon as they are given, and not only when the flow is built."""

from stepflow.protocol._paths import Path, format_path
from stepflow.protocol.errors import InvalidFlow


def checked_text(value: object, at: Path | str) -> str:
    """Return a text. Raises `InvalidFlow` if it is not a `str`, or has half of a surrogate pair."""
    if not isinstance(value, str):
        raise InvalidFlow(_place(at), f"a text belongs here, not a `{type(value).__name__}`")
    text = str.__str__(value)  # an enum's value, not its name
    try:
        text.encode()
    except UnicodeEncodeError:
        problem = f"{text!a} holds half of a surrogate pair, which is not a character"
        raise InvalidFlow(_place(at), problem) from None
    return text


def _place(at: Path | str) -> str:
    return at if isinstance(at, str) else format_path(at)
