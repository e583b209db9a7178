"""A value becomes JSON with the same content, or is refused with its place."""

import dataclasses
import datetime
import enum
import json
import math
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.protocol import NoJsonForm, NotJson, decode, json_text, json_value

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


class Hidden(enum.Enum):
    NAN = math.nan
    LIST = (1, math.inf)


class Floats(float, enum.Enum):
    NAN = math.nan
    LEAST = -math.inf


@dataclasses.dataclass(frozen=True)
class Constant:
    x: int
    kind: str = dataclasses.field(init=False, default="k")
    parts: list[Any] = dataclasses.field(init=False, default_factory=list)


@dataclasses.dataclass(slots=True)
class Slots:
    x: int
    kind: str = dataclasses.field(init=False, default="k")


@dataclasses.dataclass
class OfSlots(Slots):
    more: int = dataclasses.field(init=False, default=2)


def lacking(value: object, name: str) -> object:
    delattr(value, name)
    return value


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
def test_nan_and_infinity_are_refused_at_every_place(
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
        ({1: 2, "1": 3}, "`$` has two keys named `1`: 1 and '1'"),
        ({"m": {Colour.RED: 1, "red": 2}}, "`$.m` has two keys named `red`"),
        (Struct({0.1: 1, Decimal("0.1"): 2}), "`$.theValue` has two keys named `0.1`"),
        ({"a": {None: 1}}, "`$.a` has the key `None`; keys are strings, numbers, dates, UUIDs or"),
        ({True: 1}, "`$` has the key `True`; keys are"),
        ({(1, 2): 3}, "`$` has the key `(1, 2)`; keys are"),
        ({"x": ["\ud800"]}, "`$.x[0]` holds half of a surrogate pair, which is not a character"),
        ({"x": {"\ud800": 1}}, "`$.x` has the key '\\ud800' with half of a surrogate pair"),
        (nested(129), "`$[0][0][0][0][0][0]…` is nested more than 128 levels deep"),
        (nested(5000), "`$[0][0][0][0][0][0]…` is nested more than 128 levels deep"),
        (itself(), "`$[0].again[0].again[0].again…` is nested more than 128 levels deep"),
        ([{"a": object()}], "`$[0].a` is of type `object`, which has no JSON form"),
        (Struct([range(2)]), "`$.theValue[0]` is of type `range`, which has no JSON form"),
        ((each for each in "ab"), "`$` is of type `generator`, which has no JSON form"),
        ([Hidden.NAN], "`$[0]` is NaN, which JSON does not have"),
        (Struct(Hidden.LIST), "`$.theValue[1]` is Infinity, which JSON does not have"),
        ([Floats.NAN], "`$[0]` is NaN, which JSON does not have"),
        ({"x": Floats.LEAST}, "`$.x` is -Infinity, which JSON does not have"),
        ({Floats.NAN: 1}, "`$` has the key NaN, which JSON does not have"),
        ({Hidden.NAN: 1}, "`$` has the key NaN, which JSON does not have"),
        ({"x": [10**5000]}, "`$.x[0]` is an integer of more than 4300 digits"),
        (Struct(-(10**5000)), "`$.theValue` is an integer of more than 4300 digits"),
        ({"x": {10**5000: 1}}, "`$.x` has a key that is an integer of more than 4300 digits"),
        ({"x": msgspec.Raw(b'[{"a":1,"a":2}]')}, "`$.x[0]` has two keys named `a`"),
        (Struct(msgspec.Raw(b'{"a":"\\ud800"}')), "`$.theValue.a` holds half of a surrogate pair"),
        ([msgspec.Raw(b"[" * 128 + b"]" * 128)], "is nested more than 128 levels deep"),
        ([msgspec.Raw(b"1,2")], "`$[0]` has no JSON form: Extra data"),
        ([msgspec.Raw(b"NaN")], "`$[0]` has no JSON form: NaN is no JSON"),
        ([msgspec.Raw(b"[1e999]")], "`$[0][0]` is a number out of range"),
        ([msgspec.Raw(b"[1" + b"0" * 5000 + b"]")], "`$[0][0]` is an integer of more than 4300"),
        ([msgspec.Raw(b'"a\nb"')], "`$[0]` has no JSON form: Invalid control character"),
        ([msgspec.Raw(b'"\xff"')], "`$[0]` has no JSON form"),
        ({"x": msgspec.Raw(b"{")}, "`$.x` has no JSON form: Expecting property name"),
        ({"d": [lacking(Data(1), "x")]}, "`$.d[0].x` is missing: the `Data` has no attribute `x`"),
        (lacking(Struct(1), "the_value"), "`$.theValue` is missing: the `Struct` has no attribute"),
        (lacking(Slots(1), "kind"), "`$.kind` is missing"),
        ([OfSlots(1)], "`$[0].kind` is missing"),  # Python sets no value
    ],
)  # fmt: skip
def test_a_value_without_a_json_form_is_refused_with_its_place(value: object, said: str) -> None:
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
        (Struct(msgspec.Raw(b'{"a": null}')), b'{"theValue":{"a":null}}'),
        ([msgspec.Raw(b'{"a":\r\n[1.10,\n "b" ] }\n')], b'[{"a":[1.10,"b"]}]'),
        ([msgspec.Raw(b"[1,\n1e1]")], b"[[1,1e1]]"),  # as long as what it says
        ([Slots(1)], b'[{"x":1,"kind":"k"}]'),
        ([Constant(1)], b'[{"x":1,"kind":"k","parts":[]}]'),
        (Struct({"a": (Constant(2),)}), b'{"theValue":{"a":[{"x":2,"kind":"k","parts":[]}]}}'),
        ({"x": (1, None), "y": {2}}, b'{"x":[1,null],"y":[2]}'),
    ],
)  # fmt: skip
def test_values_with_a_json_form_are_written(value: object, text: bytes | None) -> None:
    written = json_text(value)
    assert written == text if text is not None else msgspec.json.decode(written) == value


@pytest.mark.parametrize("depth", [1, 7, 8, 127, 128])
def test_values_may_be_nested_128_levels_deep(depth: int) -> None:
    assert json_text(nested(depth)) == b"[" * depth + b"1" + b"]" * depth


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_a_text_is_read_as_the_json_module_reads_it(
    value: object, indent: int | None, ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert json_value(text.encode()) == value
    assert json_value(json_text(value)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a":1,"a":2}', "`$` has two keys named `a`"),
        (b'{"a":1,"\\u0061":1}', "`$` has two keys named `a`"),
        (b'[{"x":{"a":[],"b":1,"a":{}}}]', "`$[0].x` has two keys named `a`"),
        (b"[" * 129 + b"]" * 129, "is nested more than 128 levels deep"),
        (b'{"x":' * 200 + b"1" + b"}" * 200, "`$.x.x.x.x.x.x…` is nested more than 128 levels"),
        (b'{"x":["\\ud800"]}', "`$.x[0]` holds half of a surrogate pair"),
        (b'{"\\udfff":1}', "`$` has the key '\\udfff' with half of a surrogate pair"),
        (b'{"x":1e999}', "`$.x` is a number out of range"),
        (b'{"x":1' + b"0" * 5000 + b"}", "`$.x` is an integer of more than 4300 digits"),
        (b'{"x":NaN}', "`$` has no JSON form: NaN is no JSON"),
        (b'"\xff"', "`$` has no JSON form"),
        (b"[" * 100_000, "`$` is nested too deeply"),
    ],
)
def test_an_ambiguous_text_is_refused_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(NoJsonForm) as refused:
        json_value(text)
    assert said in str(refused.value)


def test_an_unknown_object_is_written_as_the_caller_decides() -> None:
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
