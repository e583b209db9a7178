"""Refuses the requests of a component that a server would refuse, as far as this needs no engine."""

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from stepflow.protocol import BlobType, ErrorCode, InvalidFlow, Method, RequestRefused, check_flow

_ID = re.compile("[0-9A-Fa-f]{64}")
_MOST = 2**32 - 1
_PATCHES: dict[str, tuple[type, str]] = {
    "merge_patch": (dict, "an object"),
    "json_patch": (list, "an array"),
}


def content_id(text: str) -> str | None:
    """Return the id of a blob or flow as it is stored; None if the text is not such an id."""
    return text.lower() if _ID.fullmatch(text) else None


def run_id(text: str) -> str | None:
    """Return the id of a run as it is stored; None if the text is not such an id."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def check_blob(method: Method, text: bytes, blob_type: BlobType) -> None:
    """Refuse a blob whose content does not fit its type."""
    if blob_type is BlobType.data:
        return
    data = msgspec.json.decode(text)
    if blob_type is BlobType.flow and not isinstance(data, dict):
        problem = "`data` is not an object, and a blob of the type `flow` is a flow document"
        raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem)
    if blob_type is BlobType.binary and not _is_base64(data):
        problem = "`data` is not base64, as a blob of the type `binary` is"
        raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem)


def _is_base64(data: object) -> bool:
    """Whether a value is canonical base64. Python also reads `YR==`, but ignores its last bits."""
    try:
        text = str(data) if isinstance(data, str) else "?"
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False


def check_max_concurrency(method: Method, number: int | None) -> None:
    """Refuse a number that is too small or too large. None is allowed."""
    if number is None or 1 <= number <= _MOST:
        return
    problem = f"`maxConcurrency` is {number}: it has to be at least 1, and at most {_MOST:,}"
    raise RequestRefused(method, ErrorCode.INVALID_PARAMS, problem)


def check_runs(method: Method, id: str, document: Any) -> None:
    """Refuse a document that `check_flow` refuses."""
    try:
        check_flow(document)
    except InvalidFlow as wrong:
        problem = f"blob `{id}` is not a flow that can run: {wrong.problem} at `{wrong.at}`"
        raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem) from None


def check_overrides(method: Method, overrides: Any, document: Mapping[str, Any]) -> None:
    """Refuse overrides of a wrong shape, or of steps that the flow does not have."""
    problem = _problem_of(overrides, [step["id"] for step in document.get("steps") or ()])
    if problem is not None:
        problem = f"the overrides do not fit the flow: {problem}"
        raise RequestRefused(method, ErrorCode.SERVER_ERROR, problem)


def _problem_of(overrides: Any, ids: list[str]) -> str | None:
    if overrides is None:
        return None
    if not isinstance(overrides, dict):
        return "expected an object at `$`"
    # The patches are under `steps`; older servers took them without it.
    steps = overrides.get("steps", overrides)
    if not isinstance(steps, dict) or "$type" in steps:
        steps = overrides
    for id, patch in steps.items():
        if not isinstance(patch, dict) or "value" not in patch:
            return f"the patch of step `{id}` is an object with a `value`"
        kind = patch.get("$type", "merge_patch")
        if not isinstance(kind, str) or kind not in _PATCHES:
            return f"the `$type` of the patch of step `{id}` is `merge_patch` or `json_patch`"
        of, named = _PATCHES[kind]
        if not isinstance(patch["value"], of):
            return f"the `value` of the `{kind}` of step `{id}` is {named}"
        if id not in ids:
            return f"there is no step `{id}` to override"
    return None
