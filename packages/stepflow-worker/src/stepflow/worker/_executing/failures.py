"""Turns a component's exception into the error that is sent to the server."""

import asyncio
import concurrent.futures
import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from stepflow.protocol import (
    ErrorAnswer,
    ErrorCode,
    ErrorObject,
    FailureDetails,
    MessageId,
    NoJsonForm,
    frame,
)
from stepflow.worker._values.encoding import encoded
from stepflow.worker.errors import ComponentError, FlowFailed, InvalidInput

_OWN_FOLDER = str(Path(__file__).parents[1])
_FRAMES_LEFT_OUT = (
    _OWN_FOLDER,
    str(Path(asyncio.__file__).parent),
    str(Path(concurrent.futures.__file__).parent),
    contextlib.__file__,
    importlib.__file__,
    "<frozen importlib",
)

TRACEBACK_LIMIT = 32 << 10
"""The longest traceback that is sent, in characters; the lines nearest to the failure are kept."""

MESSAGE_LIMIT = 64 << 10
"""The longest message that is sent, in characters."""

TYPE_LIMIT = 1 << 10
"""The longest name of an exception that is sent, in characters."""

_PART_LIMIT = 8 << 10
_LONGEST_WORD = 1 << 10

DATA_LIMIT = 1 << 20
"""The largest `data` of an error that is sent, in bytes of JSON."""

LISTED = 3
"""How many errors of a group are in its message."""
LISTED_LIMIT = 300
"""How much of each of them is in the message, in characters."""


class Ending(NamedTuple):
    """Why an execute is asked to end: the code and the text of its error answer."""

    code: ErrorCode
    reason: str


def failure_line(id: MessageId, error: BaseException) -> bytes:
    """Return the framed answer for a component that failed. Never raises."""
    try:
        return frame(ErrorAnswer(id, _with_data_as_json(failure(error))))
    except BaseException as second:  # noqa: BLE001, an exception's text and data are user code
        return _bare_line(id, ErrorCode.COMPONENT_FAILED, error, second)


def ended_line(id: MessageId, ending: Ending, error: BaseException | None = None) -> bytes:
    """Return the framed answer of an execute that was asked to end. Never raises.

    error: what the component raised then, if anything.
    """
    reason = _message(ending.reason)
    if error is None:
        return frame(ErrorAnswer(id, ErrorObject(ending.code, reason)))
    try:
        details = FailureDetails(type=type_name(error), traceback=_traceback_of(error))
        return frame(ErrorAnswer(id, ErrorObject(ending.code, reason, details)))
    except BaseException:  # noqa: BLE001, as above
        return frame(ErrorAnswer(id, ErrorObject(ending.code, reason)))


def _bare_line(
    id: MessageId, code: ErrorCode, error: BaseException, second: BaseException
) -> bytes:
    """Return the answer for an exception whose text or data raised `second`. Runs no user code."""
    kinds = (type(error), type(second))
    names = [_text(_beginning(_own_text(each, "__qualname__"), TYPE_LIMIT)) for each in kinds]
    message = f"{names[0]}, which cannot be told: {names[1]} was raised by what it holds"
    return frame(ErrorAnswer(id, ErrorObject(code, message, FailureDetails(type=names[0]))))


def _with_data_as_json(object: ErrorObject) -> ErrorObject:
    details = object.data
    if not isinstance(details, FailureDetails) or details.data is None:
        return object
    try:
        data = encoded(details.data)
    except BaseException as problem:  # noqa: BLE001, encoding may run user code
        # The component's message is still sent.
        details.data = None
        reason = problem if isinstance(problem, NoJsonForm) else type_name(problem)
        object.message += f" (its `data` is left out: {reason})"
    else:
        too_large = f"left out: an error may bring no more than {DATA_LIMIT} bytes along"
        details.data = data if len(bytes(data)) <= DATA_LIMIT else too_large
    return object


def failure(raised: BaseException) -> ErrorObject:
    """Return the error object for what a component raised. May raise what the exception's code raises."""
    error = _only_error(raised)
    if isinstance(error, InvalidInput):
        return ErrorObject(ErrorCode.INVALID_INPUT, _message(error.message), {"path": error.path})
    details = FailureDetails(type=type_name(error), traceback=_traceback_of(raised))
    message = _message_of(error)
    if isinstance(error, ComponentError):
        try:
            _copy_advice(error, details)
        except TypeError as wrong:  # a subclass may set values of other types
            message = _message(f"{message} ({wrong})")
        details.data = error.data
    elif isinstance(error, FlowFailed):
        # If a component inside the flow forbids a retry, the step that ran the flow forbids it too.
        if isinstance(error.data, dict) and error.data.get("retryable") is False:
            details.retryable = False
        details.data = {
            "runId": error.run_id,
            "itemIndex": error.item,
            "error": {
                "code": error.code,
                "kind": error.kind,
                "message": error.message,
                "data": error.data,
            },
        }
    return ErrorObject(ErrorCode.COMPONENT_FAILED, message, details)


def _copy_advice(error: ComponentError, details: FailureDetails) -> None:
    """Copy the code and the retry advice of an error. Raises `TypeError` as `ComponentError` does."""
    checked = ComponentError(
        "", code=error.code, retryable=error.retryable, retry_after=error.retry_after
    )
    details.code = checked.code
    details.retryable = checked.retryable
    details.retry_after = checked.retry_after


def type_name(error: BaseException) -> str:
    """Return the name of an exception's type, without its module if that is builtins or the script. Never raises."""
    module, name = (_own_text(type(error), each) for each in ("__module__", "__qualname__"))
    bare = module in ("", "builtins", "__main__")
    return _beginning(name if bare else f"{module}.{name}", TYPE_LIMIT)


def _own_text(kind: type, attribute: str) -> str:
    # With the descriptor of `type` itself: one of a metaclass is user code.
    try:
        text = type.__dict__[attribute].__get__(kind)
    except AttributeError:
        return ""
    return str.__str__(text) if issubclass(type(text), str) else ""


def user_frames(where: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the worker's frames at its start."""
    while where is not None and where.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
        where = where.tb_next
    return where


def _only_error(error: BaseException) -> BaseException:
    """Return the only error of a group of one, which a `TaskGroup` makes of a failed task."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        (error,) = error.exceptions
    return error


def _message_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _message(f"{error.message}: {_listed([*_leaves(error)])}")
    if isinstance(error, SystemExit) and not isinstance(error.code, str):
        return _message(f"the component called `sys.exit({_shown_code(error.code)})`")
    text = text_of(error)
    # The text of a `KeyError` is only the key, such as `'x'`.
    if not text or isinstance(error, KeyError):
        text = _type_and_text(error)
    return _message(text)


def _shown_code(code: object) -> str:
    return "" if code is None else str(code) if isinstance(code, int) else "…"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _listed(errors: list[BaseException]) -> str:
    more = len(errors) - LISTED
    shown = [_beginning(_type_and_text(each), LISTED_LIMIT) for each in errors[:LISTED]]
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def _type_and_text(error: BaseException) -> str:
    text = text_of(error)
    return f"{type_name(error)}: {text}" if text else type_name(error)


def text_of(error: BaseException) -> str:
    """Return the text of an exception; empty when its code fails."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001, it is user code
        return ""


def _traceback_of(error: BaseException) -> str:
    lines = traceback.format_exception(type(error), error, user_frames(error.__traceback__))
    # A long message must not take the place of the frames; it is sent beside the traceback.
    parts = (
        part if len(part) <= _PART_LIMIT else f"{_beginning(part, _PART_LIMIT)}\n" for part in lines
    )
    return _text(_end("".join(parts), TRACEBACK_LIMIT))


def _beginning(text: str, limit: int) -> str:
    """Cut a text at a space, if one is near: a server would not find half a secret to hide it."""
    if len(text) <= limit:
        return text
    space = text.rfind(" ", limit - min(_LONGEST_WORD, limit // 2), limit)
    kept = text[: space if space > 0 else limit]
    return f"{kept}… ({len(text) - len(kept)} characters more)"


def _end(text: str, limit: int) -> str:
    """Return the last lines of a text that fit, or the end of the last line."""
    if len(text) <= limit:
        return text
    kept = text[-limit:]
    whole_lines = kept.partition("\n")[2]
    return whole_lines if whole_lines.strip() else kept


def _message(text: str) -> str:
    return _text(_beginning(text, MESSAGE_LIMIT))


def _text(text: str) -> str:
    """Escape half surrogate pairs: they have no UTF-8 form, and the answer could not be written."""
    return text.encode(errors="backslashreplace").decode() if not text.isascii() else text


def print_user_traceback(error: BaseException) -> None:
    """Write a traceback to stderr, without the frames of the worker and of the standard library."""
    shown = traceback.TracebackException.from_exception(error)
    theirs = [each for each in shown.stack if not each.filename.startswith(_FRAMES_LEFT_OUT)]
    if theirs or isinstance(error, SyntaxError):  # otherwise the worker itself may have failed
        shown.stack[:] = theirs
    sys.stderr.write("".join(shown.format()))
