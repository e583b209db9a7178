"""A value becomes JSON that says the same, or is refused with its place."""

import dataclasses
import datetime
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.protocol import NoJsonForm, NotJson, decode, json_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)  # fmt: skip


class Struct(msgspec.Struct, rename="camel"):
    the_value: Any


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Data:
    x: Any


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def itself() -> list[object]:
    value: list[object] = []
    value.append({"again": value})
    return value


@given(JSON)
def test_json_values_come_back_equal(value: object) -> None:
    assert msgspec.json.decode(json_text(value)) == value


@given(JSON, st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_number_that_json_lacks_is_refused_wherever_it_stands(
    value: object, number: float, data: st.DataObject
) -> None:
    wrapped: object = number
    for kind in data.draw(st.lists(st.sampled_from(["list", "dict", "struct", "data"]))):
        match kind:
            case "list":
                wrapped = [value, wrapped]
            case "dict":
                wrapped = {"a": value, "b": wrapped}
            case "struct":
                wrapped = Struct(wrapped)
            case _:
                wrapped = Data(wrapped)
    with pytest.raises(NoJsonForm, match="which JSON does not have"):
        json_text(wrapped)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "`$` is NaN, which JSON does not have"),
        ({"x": None, "y": math.inf}, "`$.y` is Infinity, which JSON does not have"),
        ([1, (2, -math.inf)], "`$[1][1]` is -Infinity, which JSON does not have"),
        (Struct(math.nan), "`$.theValue` is NaN, which JSON does not have"),
        ([Data(Decimal("NaN"))], "`$[0].x` is NaN, which JSON does not have"),
        ({"a b": Decimal("sNaN")}, '`$["a b"]` is NaN, which JSON does not have'),
        ({math.nan: 1}, "`$` has the key NaN, which JSON does not have"),
        ({1: 2, "1": 3}, "`$` has two keys of the name `1`: 1 and '1'"),
        ({"m": {Colour.RED: 1, "red": 2}}, "`$.m` has two keys of the name `red`"),
        (Struct({0.1: 1, Decimal("0.1"): 2}), "`$.theValue` has two keys of the name `0.1`"),
        ({"a": {None: 1}}, "`$.a` has the key `None`; keys are strings, numbers, dates, UUIDs or"),
        ({True: 1}, "`$` has the key `True`; keys are"),
        ({(1, 2): 3}, "`$` has the key `(1, 2)`; keys are"),
        ({"x": ["\ud800"]}, "`$.x[0]` holds half of a surrogate pair, which is no character"),
        ({"x": {"\ud800": 1}}, "`$.x` has the key '\\ud800' with half of a surrogate pair"),
        (nested(129), "`$[0][0][0][0][0][0]…` is nested more than 128 levels deep"),
        (nested(5000), "`$[0][0][0][0][0][0]…` is nested more than 128 levels deep"),
        (itself(), "`$[0].again[0].again[0].again…` is nested more than 128 levels deep"),
        ([{"a": object()}], "`$[0].a` is of type `object`, which has no JSON form"),
        (Struct([range(2)]), "`$.theValue[0]` is of type `range`, which has no JSON form"),
        ((each for each in "ab"), "`$` is of type `generator`, which has no JSON form"),
        ({"x": msgspec.Raw(b"{")}, "`$.x` has no JSON form: Input data was truncated"),
    ],
)  # fmt: skip
def test_what_json_cannot_say_is_refused_with_its_place(value: object, said: str) -> None:
    with pytest.raises(NoJsonForm) as refused:
        json_text(value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1: "a", "b": 2}, b'{"1":"a","b":2}'),
        ({Colour.RED: Colour.RED}, b'{"red":"red"}'),
        ({datetime.date(2024, 1, 2): uuid.UUID(int=1)},
         b'{"2024-01-02":"00000000-0000-0000-0000-000000000001"}'),
        ([Decimal("1.50"), "NaN", "Infinity"], b'["1.50","NaN","Infinity"]'),
        ([2**63, 2**64, -(2**63) - 1, 2**200], None),
        (Struct(msgspec.Raw(b'{"a": null}')), b'{"theValue":{"a": null}}'),
        ({"x": (1, None), "y": {2}}, b'{"x":[1,null],"y":[2]}'),
    ],
)  # fmt: skip
def test_what_has_a_form_of_its_own_is_written(value: object, text: bytes | None) -> None:
    written = json_text(value)
    assert written == text if text is not None else msgspec.json.decode(written) == value


@pytest.mark.parametrize("depth", [1, 7, 8, 127, 128])
def test_values_may_be_nested_128_levels_deep(depth: int) -> None:
    assert json_text(nested(depth)) == b"[" * depth + b"1" + b"]" * depth


def test_an_object_that_is_not_known_is_written_as_the_caller_says() -> None:
    def other(value: object) -> object:
        if isinstance(value, complex):
            return [value.real, value.imag]
        raise TypeError

    assert json_text({"z": 1j}, other) == b'{"z":[0.0,1.0]}'
    with pytest.raises(NoJsonForm, match=r"`\$\.z\[1\]` is NaN"):
        json_text({"z": complex(0, math.nan)}, other)
    with pytest.raises(NoJsonForm, match=r"`\$\.z` is of type `object`"):
        json_text({"z": object()}, other)


def test_a_message_that_is_nested_too_deeply_is_no_message() -> None:
    with pytest.raises(NotJson, match="nested too deeply"):
        decode(b'{"jsonrpc":"2.0","id":1,"params":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
