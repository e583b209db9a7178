"""The JSON-RPC 2.0 envelope of all messages: one struct for reading, and four for writing.

Reading leaves `params` and `result` as bytes, so that each is decoded only once, into the type of its
method. Writing encodes the typed value and the envelope in one pass.
"""

from typing import Any, TypeAlias, TypeGuard

import msgspec
from msgspec import UNSET, Raw, UnsetType

from stepflow.protocol._json import json_text
from stepflow.protocol._message import Message
from stepflow.protocol.errors import InvalidEnvelope, NoJsonForm, NotJson, UnencodableInput

MessageId: TypeAlias = str | int
"""The id of a request. Each side chooses its own ids, and repeats the other's unchanged in answers."""


class ErrorObject(Message):
    """The error in an answer."""

    code: int
    """A number of `ErrorCode`, or one that the sender has defined."""
    message: str
    """What went wrong."""
    data: Any = None
    """Details."""


# The member `jsonrpc` is a tag: it is always written, and checked if it is present.


class Envelope(msgspec.Struct, tag_field="jsonrpc", tag="2.0", omit_defaults=True):
    """Any message, as it was received.

    `id` and `method`: a request. `method` alone: a notification. `id` and `result` or `error`: an
    answer. A null member counts as absent.
    """

    id: MessageId | None = None
    method: str | None = None
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: ErrorObject | None = None


class Request(msgspec.Struct, tag_field="jsonrpc", tag="2.0"):
    """A call that gets an answer."""

    id: MessageId
    method: str
    params: Any


class Notification(msgspec.Struct, tag_field="jsonrpc", tag="2.0"):
    """A call that gets no answer."""

    method: str
    params: Any


class Answer(msgspec.Struct, tag_field="jsonrpc", tag="2.0"):
    """The answer to a request. `result` is an object, never null."""

    id: MessageId
    result: Any


class ErrorAnswer(msgspec.Struct, tag_field="jsonrpc", tag="2.0"):
    """The answer to a request that failed. `id` is null if the id could not be read."""

    id: MessageId | None
    error: ErrorObject


Outgoing: TypeAlias = Request | Notification | Answer | ErrorAnswer

_envelopes = msgspec.json.Decoder(Envelope)
_encoder = msgspec.json.Encoder()
_NULL = Raw(b"null")


class _Identified(msgspec.Struct):
    id: Any = None


def encode(message: Outgoing | Envelope) -> bytes:
    """Return a message as compact JSON, without a line break.

    Raises `TypeError` or `ValueError` when a value in it has no JSON form.
    """
    return _encoder.encode(message)


def decode(text: bytes) -> Envelope:
    """Read one message.

    Raises `NotJson`, or `InvalidEnvelope` with the message's id if that could be read. The latter is also raised
    for a message with half of a surrogate pair, which is JSON, but which msgspec does not read.
    """
    try:
        envelope = _envelopes.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidEnvelope(str(error), _id_in(text)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _half_surrogate(text) or NotJson(str(error)) from None
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    if envelope.params == _NULL:
        envelope.params = UNSET
    if envelope.result == _NULL:
        envelope.result = UNSET
    if envelope.method is None:
        if (envelope.result is UNSET) == (envelope.error is None):
            raise InvalidEnvelope("it needs `method`, or one of `result` and `error`", envelope.id)
    elif envelope.result is not UNSET or envelope.error is not None:
        raise InvalidEnvelope("`method` excludes `result` and `error`", envelope.id)
    return envelope


def _half_surrogate(text: bytes) -> InvalidEnvelope | None:
    """Return the error for a message with half of a surrogate pair in it; None for any other message."""
    if b"\\u" not in text:
        return None
    from stepflow.protocol._json_texts import parsed

    message = parsed(text)
    if not isinstance(message, dict) or not _is_id(id := message.get("id")):
        return None
    try:
        json_text(message)
    except NoJsonForm as error:
        inside = error.path.removeprefix("$.params.input")
        if message.get("method") != "components/execute" or inside == error.path:
            return InvalidEnvelope(str(error), id)
        component = ascii(message["params"].get("component")).strip("'")
        return UnencodableInput(component, f"${inside}", error.problem, id)
    return None


def _is_id(id: object) -> TypeGuard[MessageId]:
    return type(id) is int or (isinstance(id, str) and id.isprintable())


def _id_in(text: bytes) -> MessageId | None:
    try:
        id = msgspec.json.decode(text, type=_Identified).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return id if isinstance(id, str) or type(id) is int else None
