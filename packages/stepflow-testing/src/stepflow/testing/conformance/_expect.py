"""What checks expect of an answer. If an expectation is not met, `Broken` says what was found."""

import json
from typing import TypeGuard

from stepflow.protocol import ErrorCode
from stepflow.testing.conformance._failures import Broken
from stepflow.testing.conformance._worker import Json, same, shown


def ensure(holds: bool, problem: str) -> None:
    """Raise `Broken` with the problem unless `holds`."""
    if not holds:
        raise Broken(problem)


def result(answer: Json) -> dict[str, Json]:
    """Return the result of an answer. Raises `Broken` if it has none, or it is not an object."""
    if answer.get("error") is not None:
        raise Broken(f"it was refused: {brief(answer['error'])}")
    found = answer.get("result")
    if not isinstance(found, dict):
        raise Broken(f"the result is not an object: {brief(found)}")
    return found


def output(answer: Json) -> Json:
    """Return the output of an execute. Raises `Broken` if it did not succeed."""
    found = result(answer)
    ensure("output" in found, f"the result has no `output`: {brief(found)}")
    return found["output"]


def error(answer: Json, *codes: ErrorCode) -> dict[str, Json]:
    """Return the error of an answer. Raises `Broken` unless it has one of these codes and a message."""
    wanted = " or ".join(f"{code.value} {code.name}" for code in codes)
    found = answer.get("error")
    if not isinstance(found, dict):
        raise Broken(f"wanted the error {wanted}, but it was answered {brief(answer)}")
    code = found.get("code")
    ensure(is_int(code) and code in codes, f"the error's code is {brief(code)}, not {wanted}")
    ensure(isinstance(found.get("message"), str), "the error has no `message`")
    ensure("result" not in answer, "an answer has `result` and `error`")
    return found


def has_id(answer: Json, id: Json) -> None:
    """Raise `Broken` unless an answer has this id, of the same type."""
    found = answer.get("id")
    ensure(same(found, id), f"the answer's id is {brief(found)}, not {brief(id)}")


def equal(found: Json, wanted: Json, what: str) -> None:
    """Raise `Broken` unless two JSON values are the same, with the same types and order."""
    ensure(same(found, wanted), f"{what} is {brief(found)}, not {brief(wanted)}")


def is_int(value: Json) -> TypeGuard[int]:
    """Whether a value is a JSON integer; Python counts `true` as one."""
    return type(value) is int


def brief(value: Json) -> str:
    """Return a JSON value as text; a long one is cut."""
    return shown(json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace"))
