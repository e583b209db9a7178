"""Checks of a flow that need no server: its references to steps, its timeouts, and old spellings of keys."""

import difflib
import graphlib
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

from stepflow.protocol._canonical import Json, canonical, document_of
from stepflow.protocol._durations import duration_seconds
from stepflow.protocol._paths import Path, format_path
from stepflow.protocol._values import Constant
from stepflow.protocol.errors import InvalidFlow
from stepflow.protocol.flow import Flow

_OLD_REFERENCE_KEYS = {
    "onSkip": "nothing is skipped; write `{$coalesce: [<reference>, <default>]}`",
    "transform": "references are not transformed; use a `path`, or a step that does it",
}
_STEPS_RUN = "steps run only when needed: choose with `$if` where the result is used"
_OLD_FLOW_KEYS = {"variables": "declare variables under `schemas.properties.variables`"}
_OLD_STEP_KEYS = {
    "skipIf": _STEPS_RUN,
    "skip": _STEPS_RUN,
    "on_error": "write `onError`",
    **_OLD_REFERENCE_KEYS,
}


def check_flow(flow: Flow | Mapping[str, Constant] | str | bytes) -> None:
    """Raise `InvalidFlow` for a flow that cannot run, as far as this is known without a server.

    This checks the shape of the document, old spellings of keys, the ids of the steps, the references to steps, and
    the timeouts. Only a server checks the rest: schemas, patches, retries, misspelt keys and components.
    """
    document = canonical(flow)
    _check_spellings(document_of(flow))
    check_span(document.get("timeout"), ("timeout",))
    for place, step in enumerate(_steps(document)):
        check_span(step.get("timeout"), ("steps", place, "timeout"))
    check_references(document)


def check_references(document: Mapping[str, Json]) -> None:
    """Raise `InvalidFlow` if a canonical document refers to an unknown step, or steps need each other."""
    steps = _steps(document)
    needs: dict[str, list[str]] = {}
    for place, step in enumerate(steps):
        check_id(step["id"], ("steps", place, "id"))
        if step["id"] in needs:
            where = format_path(("steps", place, "id"))
            raise InvalidFlow(where, f"there is another step `{step['id']}` already")
        needs[step["id"]] = []
    for place, step in enumerate(steps):
        references = _references(step.get("input"), ("steps", place, "input"))
        needs[step["id"]] = [known_step(at, needed, needs) for at, needed in references]
    for at, needed in _references(document.get("output"), ("output",)):
        known_step(at, needed, needs)
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        way = " → ".join(f"`{id}`" for id in reversed(error.args[1]))
        hint = "break the loop, or pass the value through the flow's input"
        raise InvalidFlow("$.steps", f"dependency cycle: {way}", hint) from None


def check_id(id: str, at: Path) -> None:
    """Raise `InvalidFlow` for a step's id that is empty or has only spaces."""
    if not id.strip():
        raise InvalidFlow(format_path(at), "the step's id is blank")


def known_step(at: Path, id: str, steps: Collection[str]) -> str:
    """Return `id`. Raises `InvalidFlow` when it is not one of the `steps`."""
    if id not in steps:
        near = difflib.get_close_matches(id, steps, n=1)
        hint = f"did you mean `{near[0]}`?" if near else None
        raise InvalidFlow(format_path(at), f"there is no step `{id}`", hint)
    return id


def check_span(span: Any, at: Path) -> None:
    """Raise `InvalidFlow` for a value that is not a duration. None is allowed."""
    try:
        if span is not None:
            duration_seconds(span)
    except ValueError as error:
        raise InvalidFlow(format_path(at), str(error)) from None


def written_span(span: str | float | timedelta | None, at: Path) -> Json:
    """Return a duration as a document contains it. Raises `InvalidFlow` if it is none."""
    check_span(span, at)
    if not isinstance(span, timedelta):
        return span
    seconds = span.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds


def _check_spellings(document: Any) -> None:
    """Raise `InvalidFlow` for the first key of an older language; the canonical form leaves it out."""
    _check_keys(document, _OLD_FLOW_KEYS, ())
    for place, step in enumerate(document.get("steps") or ()):
        _check_keys(step, _OLD_STEP_KEYS, ("steps", place))
        _check_references_in(step.get("input"), ("steps", place, "input"))
    _check_references_in(document.get("output"), ("output",))


def _check_references_in(expression: Any, at: Path) -> None:
    match expression:
        case {"$literal": _}:
            return
        case Mapping():
            if any(key in expression for key in ("$step", "$input", "$variable")):
                _check_keys(expression, _OLD_REFERENCE_KEYS, at)
            for key, member in expression.items():
                _check_references_in(member, (*at, key))
        case list() | tuple():
            for place, element in enumerate(expression):
                _check_references_in(element, (*at, place))


def _check_keys(written: Mapping[str, Any], old: Mapping[str, str], at: Path) -> None:
    for key, hint in old.items():
        if written.get(key) is not None:
            raise InvalidFlow(format_path((*at, key)), f"`{key}` is an old spelling", hint)


def _steps(document: Mapping[str, Json]) -> list[dict[str, Any]]:
    match document.get("steps"):
        case list() as steps:
            return [step for step in steps if isinstance(step, dict)]
        case _:
            return []


def _references(expression: Json, at: Path) -> Iterator[tuple[Path, str]]:
    """Yield the id of each step that a canonical expression refers to, with the place of the reference."""
    match expression:
        case {"$literal": _} | {"$input": _}:
            return
        case {"$step": str(id)}:
            yield at, id
        case dict():
            for key, member in expression.items():
                yield from _references(member, (*at, key))
        case list():
            for place, element in enumerate(expression):
                yield from _references(element, (*at, place))
