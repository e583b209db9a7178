"""Reads a JSON text and marks its ambiguous parts. It is slow, and loaded only when there may be such parts."""

import json
import math
import sys
from typing import Any, NoReturn

LONG = f"is an integer of more than {sys.get_int_max_str_digits()} digits"


class JsonFault:
    """Takes the place of an ambiguous part of the text in the value."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


def parsed(text: bytes) -> object:
    """Return the value of a text, with a `JsonFault` for each ambiguous part."""
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except RecursionError:
        return JsonFault("is nested too deeply")
    except ValueError as error:
        return JsonFault(f"has no JSON form: {error}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | JsonFault:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    shown = name.encode(errors="backslashreplace").decode()  # it may hold half of a character
    return JsonFault(f"has two keys named `{shown}`")


def _integer(digits: str) -> int | JsonFault:
    try:
        return int(digits)
    except ValueError:
        return JsonFault(LONG)


def _number(digits: str) -> float | JsonFault:
    number = float(digits)
    return number if math.isfinite(number) else JsonFault("is a number out of range")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
