"""The types of flows that are built in Python, for type checkers."""

from typing import assert_type

from stepflow.protocol import FlowBuilder, Reference, StepHandle, StepReference, Value, flow_id
from stepflow.protocol.flow import Flow, OnErrorFail, Step


def test_types_of_values() -> None:
    assert_type(Value.literal({"a": [1, 2.5, None]}), Value)
    assert_type(Value.if_(Value.input(), 1, {"a": Value.variable("b")}), Value)
    assert_type(Value.coalesce(Value.input(), None), Value)
    assert_type(Value.input(), Reference)
    assert_type(Value.input("$.a")["b"][0], Reference)
    assert_type(Value.variable("a", default=[Value.input()])["b"], Reference)
    assert_type(Value.step("a", "$.b"), StepReference)


def test_types_of_a_builder() -> None:
    builder = FlowBuilder(name="typed", timeout=2.5)
    step = builder.add_step(
        id="a", component="/python/a", input_data={"x": [1, Value.input()]}, on_error=OnErrorFail()
    )
    assert_type(step, StepHandle)
    assert_type(step.id, str)
    assert_type(step["a"]["b"], StepReference)
    assert_type(Value.step(step), StepReference)
    assert_type(builder.to_json(indent=2), str)
    flow = builder.build()
    assert_type(flow, Flow)
    assert_type(flow.steps, list[Step] | None)
    assert_type(flow_id(flow), str)


def mistakes_that_a_type_checker_sees() -> None:
    """Never called. mypy must report an error on each line with `ignore`: it warns of unused ones."""
    builder = FlowBuilder()
    builder.add_step("a", "/b")  # type: ignore[call-arg]
    builder.add_step(id="a")  # type: ignore[call-arg]
    builder.add_step(id="a", component="/b", input_data={1, 2})  # type: ignore[arg-type]
    builder.add_step(id="a", component="/b", on_error="fail")  # type: ignore[arg-type]
    builder.set_output(object())  # type: ignore[arg-type]
    Value.literal(Value.input())  # type: ignore[arg-type]
    Value.literal(1)["a"]  # type: ignore[index]
    Value.step(1)  # type: ignore[arg-type]
