"""Ids of blobs: the same on both sides, for all spellings of a value."""

import hashlib
import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.protocol import NoJsonForm, blob_id


def test_the_published_check_value() -> None:
    assert blob_id({"x": 1}) == "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        (
            [1, 1.0, -0.0, 1e16, 1e15, 1e-5, 1e-7, 5e-324],
            "[1,1.0,-0.0,1e16,1000000000000000.0,0.00001,1e-7,5e-324]",
        ),
        (
            [2**63 - 1, -(2**63), 2**64 - 1],
            "[9223372036854775807,-9223372036854775808,18446744073709551615]",
        ),
        ("é\u2028🦀</", '"é\u2028🦀</"'),
        ('\x00\x1f\x7f\b\f\n\r\t"\\', '"\\u0000\\u001f\x7f\\b\\f\\n\\r\\t\\"\\\\"'),
        ({}, "{}"),
        (None, "null"),
        ([True, False], "[true,false]"),
    ],
)
def test_the_id_is_the_hash_of_the_compact_text(value: Any, text: str) -> None:
    assert blob_id(value) == hashlib.sha256(text.encode()).hexdigest()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(-(2**63), 2**64 - 1)))
def test_spaces_and_escapes_do_not_matter_but_the_order_of_keys_does(value: dict[str, int]) -> None:
    respelled = msgspec.json.decode(json.dumps(value, indent=2, ensure_ascii=True))
    assert blob_id(respelled) == blob_id(value)
    backwards = dict(reversed(value.items()))
    assert (blob_id(backwards) == blob_id(value)) == (len(value) < 2)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_have_their_shortest_form(number: float) -> None:
    text = msgspec.json.encode(number).decode()
    assert blob_id(number) == hashlib.sha256(text.encode()).hexdigest()
    assert float(text) == number and "+" not in text
    assert "." in text or "e" in text  # a float never looks like an integer


def test_what_has_no_json_form_has_no_id() -> None:
    with pytest.raises(NoJsonForm, match=r"`\$` is of type `object`"):
        blob_id(object())
    with pytest.raises(NoJsonForm, match=r"`\$.x` is NaN, which JSON does not have"):
        blob_id({"x": math.nan})
