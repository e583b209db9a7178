"""The envelope: what is a message, what is not, and that values are not changed."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from stepflow.protocol import (
    Answer,
    Envelope,
    ErrorAnswer,
    ErrorObject,
    InvalidEnvelope,
    Method,
    Notification,
    NotJson,
    Outgoing,
    Request,
    UnencodableInput,
    decode,
    encode,
    frame,
)

# Values that both sides can write as JSON: integers of 64 bits, finite numbers, text without half surrogates.
TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20
)
IDS = TEXT | st.integers(-(2**63), 2**63 - 1)


@given(IDS, TEXT, st.dictionaries(TEXT, VALUES))
def test_a_request_comes_back_with_its_params_byte_for_byte(
    id: str | int, method: str, params: dict[str, Any]
) -> None:
    envelope = decode(encode(Request(id, method, params)))
    assert (envelope.id, envelope.method) == (id, method)
    assert type(envelope.id) is type(id)
    assert envelope.params is not UNSET
    assert bytes(envelope.params) == msgspec.json.encode(params)
    assert list(msgspec.json.decode(envelope.params)) == list(params)
    assert encode(envelope) == encode(Request(id, method, params))


@given(IDS, st.dictionaries(TEXT, VALUES))
def test_an_answer_comes_back_with_its_result(id: str | int, result: dict[str, Any]) -> None:
    envelope = decode(encode(Answer(id, result)))
    assert (envelope.id, envelope.method, envelope.error) == (id, None, None)
    assert envelope.result is not UNSET
    assert msgspec.json.decode(envelope.result) == result


@given(VALUES)
def test_a_framed_message_is_one_line_of_json(value: Any) -> None:
    line = frame(Notification("m", {"value": value}))
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert json.loads(line) == {"jsonrpc": "2.0", "method": "m", "params": {"value": value}}


@given(st.binary())
def test_any_bytes_are_a_message_or_a_protocol_error(text: bytes) -> None:
    try:
        message = decode(text)
    except (NotJson, InvalidEnvelope):
        return
    assert isinstance(message, Envelope)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            Request(1, Method.blobs_get, {}),
            '{"jsonrpc":"2.0","id":1,"method":"blobs/get","params":{}}',
        ),
        (Notification("initialized", {}), '{"jsonrpc":"2.0","method":"initialized","params":{}}'),
        (Answer("a", {}), '{"jsonrpc":"2.0","id":"a","result":{}}'),
        (
            ErrorAnswer(None, ErrorObject(-32700, "no")),
            '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}',
        ),
        (Envelope(id=1), '{"jsonrpc":"2.0","id":1}'),
    ],
)
def test_messages_are_written_with_jsonrpc_and_without_absent_members(
    message: Outgoing | Envelope, text: str
) -> None:
    assert encode(message).decode() == text


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"method":"m"}',
        '{"method":"m","id":1,"jsonrpc":"2.0","params":null,"result":null,"error":null,"more":[]}',
        ' { "id" : 1 , "method" : "m" } \r',
    ],
)
def test_null_is_absent_and_what_is_unknown_is_ignored(text: str) -> None:
    envelope = decode(text.encode())
    assert (envelope.id, envelope.method, envelope.result, envelope.error) == (1, "m", UNSET, None)


@pytest.mark.parametrize("text", ["", " ", "{", "nonsense", '{"id":1,}', '{"id":1}{}', "\udcff"])
def test_what_is_not_json_is_named_so(text: str) -> None:
    with pytest.raises(NotJson):
        decode(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("[]", None),
        ('"m"', None),
        ("{}", None),
        ('{"id":7}', 7),
        ('{"id":"7","result":null}', "7"),
        ('{"id":7,"result":{},"error":{"code":1,"message":"m"}}', 7),
        ('{"id":7,"method":"m","result":{}}', 7),
        ('{"id":7,"method":"m","error":{"code":1,"message":"m"}}', 7),
        ('{"id":7,"error":{"message":"no code"}}', 7),
        ('{"jsonrpc":"1.0","id":7,"method":"m"}', 7),
        ('{"id":7,"method":["m"]}', 7),
        ('{"id":true,"method":"m"}', None),
        ('{"id":1.5,"method":"m"}', None),
        ('{"id":[1],"method":"m"}', None),
    ],
)
def test_json_that_is_no_message_is_refused_with_its_id_if_it_has_one(
    text: str, id: str | int | None
) -> None:
    with pytest.raises(InvalidEnvelope) as refused:
        decode(text.encode())
    assert refused.value.id == id


def test_an_error_without_an_id_is_a_message() -> None:
    envelope = decode(
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no","data":{}}}'
    )
    assert envelope.id is None
    assert envelope.error == ErrorObject(-32700, "no", {})


EXECUTE = '{"jsonrpc":"2.0","id":7,"method":"components/execute","params":{"component":"/c",%s}}'


@pytest.mark.parametrize(
    "input", [r'{"x":["\ud800"]}', r'{"x":["a \udc00 b"]}', r'{"x":["\ud800\u0061"],"y":"\ud800"}']
)
def test_half_a_character_in_an_input_is_the_inputs_fault_at_its_place(input: str) -> None:
    with pytest.raises(
        UnencodableInput, match=r"`/c` cannot take `\$\.x\[0\]`: it holds half"
    ) as refused:
        decode((EXECUTE % f'"input":{input}').encode())
    assert (refused.value.id, refused.value.data) == (7, {"path": "$.x[0]"})


@pytest.mark.parametrize(
    "text",
    [
        EXECUTE % r'"task_id":"\ud800"',
        r'{"jsonrpc":"2.0","id":7,"method":"components/list","params":{"a":"\ud800"}}',
        r'{"jsonrpc":"2.0","id":7,"result":{"a":"\ud800"}}',
    ],
)
def test_half_a_character_elsewhere_leaves_the_message_its_id(text: str) -> None:
    with pytest.raises(InvalidEnvelope, match="half of a surrogate pair") as refused:
        decode(text.encode())
    assert refused.value.id == 7


def test_an_id_with_half_a_character_is_no_id() -> None:
    with pytest.raises(NotJson):
        decode(rb'{"jsonrpc":"2.0","id":"\ud800","method":"m"}')
