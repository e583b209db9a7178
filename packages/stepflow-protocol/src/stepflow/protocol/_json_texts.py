"""Reads a JSON text so that nothing in it goes unseen. Slow, and loaded only when there may be something."""

import json
import math
import sys
from typing import Any, NoReturn

LONG = f"is an integer of more than {sys.get_int_max_str_digits()} digits"


class Fault:
    """Stands in a value for a part of the text that says nothing for sure."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


def parsed(text: bytes) -> object:
    """Return what a text says, with a `Fault` for each part that says nothing for sure."""
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except RecursionError:
        return Fault("is nested too deeply")
    except ValueError as error:
        return Fault(f"has no JSON form: {error}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Fault:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    shown = name.encode(errors="backslashreplace").decode()  # it may hold half of a character
    return Fault(f"has two keys of the name `{shown}`")


def _integer(digits: str) -> int | Fault:
    try:
        return int(digits)
    except ValueError:
        return Fault(LONG)


def _number(digits: str) -> float | Fault:
    number = float(digits)
    return number if math.isfinite(number) else Fault("is a number out of range")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
