"""Ids of flows: the hash of a text that depends on the content of the flow and not on its spelling."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow.protocol import FlowBuilder, InvalidFlow, Value, check_flow, flow_id
from stepflow.protocol.flow import Flow, to_json


def id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{}", "{}"),
        ('{"unknown":1,"name":null,"steps":[],"schemas":{"type":"object"},"metadata":{}}', "{}"),
        ('{"test":{"cases":[]},"examples":null,"output":null}', "{}"),
        (
            '{"timeout":30, "output":{"b":1,"a":[1.50e3, 1E16]}, "name":"\\u00e9"}',
            '{"name":"é","output":{"b":1,"a":[1500.0,1e16]},"timeout":30}',
        ),
        (
            '{"steps":[{"timeout":"1s","mustExecute":false,"component":"/a","metadata":{},"id":"a"}]}',
            '{"steps":[{"id":"a","component":"/a","mustExecute":false,"timeout":"1s"}]}',
        ),
        (
            (
                '{"steps":[{"id":"a","component":"/a","onError":{"maxRetries":2,"defaultValue":null,'
                '"backoff":{"max":9,"type":"exponential","factor":2},"action":"retry"}}]}'
            ),
            (
                '{"steps":[{"id":"a","component":"/a","onError":{"action":"retry","maxRetries":2,'
                '"backoff":{"max":9,"type":"exponential","factor":2}}}]}'
            ),
        ),
        (
            '{"output":[{"path":null,"$step":"a"},{"x":1,"$input":" $.a[\'b c\'] "},{"$input":"a.b"}]}',
            '{"output":[{"$step":"a"},{"$input":"$.a[\\"b c\\"]"},{"$input":"$[\\"a.b\\"]"}]}',
        ),
        (
            '{"output":{"else":null,"then":{"$literal":{"$input":"a.b"}},"$if":{"$variable":"v"}}}',
            '{"output":{"$if":{"$variable":"$.v"},"then":{"$literal":{"$input":"a.b"}},"else":null}}',
        ),
        (
            '{"test":{"stepflow_config":{"b":1},"cases":[{"input":null,"name":"n","x":1}]}}',
            '{"test":{"config":{"b":1},"cases":[{"name":"n","input":null}]}}',
        ),
    ],
)
def test_the_id_is_the_hash_of_the_canonical_text(document: str, text: str) -> None:
    assert flow_id(document) == id_of(text)
    assert flow_id(json.loads(document)) == id_of(text)


INTEGERS = st.integers(-(2**63), 2**64 - 1)
NAMES = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(NAMES, INTEGERS))
def test_integers_and_the_order_of_keys_are_kept(constants: dict[str, int]) -> None:
    builder = FlowBuilder()
    builder.set_output(Value.literal(constants))
    inner = json.dumps(constants, ensure_ascii=False, separators=(",", ":"))
    assert flow_id(builder.build()) == id_of(f'{{"output":{{"$literal":{inner}}}}}')
    backwards = FlowBuilder()
    backwards.set_output(Value.literal(dict(reversed(constants.items()))))
    assert (flow_id(backwards.build()) == flow_id(builder.build())) == (len(constants) < 2)


@given(st.lists(NAMES | st.integers(0, 2**64 - 1)))
def test_a_path_is_read_as_it_was_written(path: list[str | int]) -> None:
    reference = Value.input()
    for segment in path:
        reference = reference[segment]
    builder = FlowBuilder()
    builder.set_output(reference)
    written = json.loads(builder.to_json())["output"]
    again = FlowBuilder()
    again.set_output(Value.input(written["$input"]))
    assert again.to_json() == builder.to_json()


def test_a_flow_that_was_built_has_one_id_in_all_its_forms() -> None:
    builder = FlowBuilder(name="one", timeout=30)
    builder.add_step(id="a", component="/a", input_data={"n": 2**63, "x": 1.0}, timeout=1)
    builder.set_output(Value.step("a")["x"])
    flow = builder.build()
    forms: list[Any] = [
        flow,
        to_json(flow),
        builder.to_json(indent=4).encode(),
        json.loads(builder.to_json()),
        msgspec.json.decode(builder.to_json(), type=Flow),
    ]
    assert {flow_id(form) for form in forms} == {id_of(builder.to_json())}


@pytest.mark.parametrize(
    ("document", "at"),
    [
        ("[]", "$"),
        ("{", "$"),
        ('{"output":1e999}', "$"),
        ('{"steps":{}}', "$.steps"),
        ('{"steps":[{"id":"a"}]}', "$.steps[0]"),
        ('{"steps":[{"id":1,"component":"/a"}]}', "$.steps[0].id"),
        ('{"output":{"a":{"$input":"$x"}}}', "$.output.a"),
        ('{"output":' + "[" * 200 + "]" * 200 + "}", "$.output[0][0][0]…"),
    ],
)
def test_something_that_is_no_flow_has_no_id(document: str, at: str) -> None:
    with pytest.raises(InvalidFlow) as refused:
        flow_id(document)
    assert refused.value.at == at


@pytest.mark.parametrize(
    ("flow", "at"),
    [
        ('{"steps": 1}', "$.steps"),
        ('{"timeout": "5x"}', "$.timeout"),
        ('{"steps": [{"id": "a", "component": "/a", "timeout": -1}]}', "$.steps[0].timeout"),
        ('{"output": {"x": [{"$step": "a"}]}}', "$.output.x[0]"),
        ('{"steps": [{"id": "a", "component": "/a", "input": {"$step": "a"}}]}', "$.steps"),
        (
            '{"steps": [{"id": "a", "component": "/a"}, {"id": "a", "component": "/b"}]}',
            "$.steps[1].id",
        ),
        ('{"steps": [{"id": "\\t", "component": "/a"}]}', "$.steps[0].id"),
        ('{"variables": {"a": {}}}', "$.variables"),
        ('{"output": {"x": [{"$input": "$", "onSkip": 1}]}}', "$.output.x[0].onSkip"),
        (
            '{"steps": [{"id": "a", "component": "/a", "input": {"$variable": "v", "transform": "x"}}]}',
            "$.steps[0].input.transform",
        ),
        ('{"steps": [{"id": "a", "component": "/a", "skipIf": true}]}', "$.steps[0].skipIf"),
    ],
)
def test_a_flow_that_cannot_run_is_refused_with_its_place(flow: str, at: str) -> None:
    with pytest.raises(InvalidFlow) as refused:
        check_flow(flow)
    assert refused.value.at == at


def test_references_inside_a_literal_are_not_checked() -> None:
    step: dict[str, Any] = {"id": "a", "component": "/a"}
    elsewhere = {"$step": "elsewhere", "onSkip": 1}
    step["input"] = {"a": {"$literal": elsewhere}, "onSkip": {"transform": 1}}
    step["skip"] = None
    flow = {"steps": [step], "output": {"$step": "a"}, "timeout": "1h", "variables": None}
    check_flow(flow)
    with pytest.raises(InvalidFlow, match="elsewhere"):
        check_flow({**flow, "output": {"$step": "elsewhere"}})
