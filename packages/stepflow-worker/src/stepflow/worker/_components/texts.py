"""What the server is told of a component is JSON, and is shown to people."""

import math
import unicodedata
from collections.abc import Iterator

from stepflow.worker.errors import RegistrationError


def check_described(name: str, description: str | None, **schemas: object) -> None:
    """Raise `RegistrationError` for what the handshake could not carry, or a terminal not show."""
    if description is not None:
        if not isinstance(description, str):
            kind = type(description).__name__
            raise RegistrationError(name, f"its description is a `{kind}`, not a text")
        for each in description:
            if unicodedata.category(each) in ("Cc", "Cs") and not each.isspace():
                raise RegistrationError(name, f"its description holds {each!a}; leave it out")
    for role, schema in schemas.items():
        for place, problem in _problems(schema, "$"):
            raise RegistrationError(name, f"the JSON Schema of its {role}, at `{place}`: {problem}")


def _problems(value: object, place: str) -> Iterator[tuple[str, str]]:
    match value:
        case str() if not _is_text(value):
            yield place, f"{value!a} holds half of a surrogate pair, which is no character"
        case float() if not math.isfinite(value):
            yield place, f"JSON has no number {value}; make the default `None`"
        case dict():
            for key, each in value.items():
                at = f"{place}.{ascii(key)[1:-1] if isinstance(key, str) else key}"
                yield from _problems(key, at)
                yield from _problems(each, at)
        case list() | tuple():
            for index, each in enumerate(value):
                yield from _problems(each, f"{place}[{index}]")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
