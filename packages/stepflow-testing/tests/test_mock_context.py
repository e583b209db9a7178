"""A `MockContext` as components see it."""

import asyncio
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from stepflow.protocol import BlobType, NoJsonForm, RequestRefused, blob_id
from stepflow.testing import MockContext
from stepflow.worker import Cancelled, FlowFailed, StepflowContext


def test_a_stored_blob_can_be_read(stepflow_context: MockContext) -> None:
    async def component(context: StepflowContext) -> object:
        return await context.get_blob(await context.put_blob({"rows": [1, 2.5, None, "ä"]}))

    assert asyncio.run(component(stepflow_context)) == {"rows": [1, 2.5, None, "ä"]}


def test_sync_components_use_the_same_names(stepflow_context: MockContext) -> None:
    blob_id = stepflow_context.sync.put_blob([1])
    assert stepflow_context.sync.get_blob(blob_id) == [1]
    assert asyncio.run(stepflow_context.get_blob(blob_id)) == [1]


def test_equal_data_is_one_blob(stepflow_context: MockContext) -> None:
    put = stepflow_context.sync.put_blob
    one, two = put({"a": 1}), put({"a": 2})
    assert put({"a": 1}) == one != two
    assert stepflow_context.blobs == {one: {"a": 1}, two: {"a": 2}}


def test_a_component_cannot_change_a_stored_blob(stepflow_context: MockContext) -> None:
    data: list[object] = [1]
    blob_id = stepflow_context.sync.put_blob(data)
    data.append(2)
    assert stepflow_context.sync.get_blob(blob_id) == [1]


def test_a_typed_value_comes_back_as_plain_json(stepflow_context: MockContext) -> None:
    @dataclass
    class Row:
        n: int

    assert stepflow_context.sync.get_blob(stepflow_context.sync.put_blob([Row(1)])) == [{"n": 1}]


def test_ids_are_those_of_the_server(stepflow_context: MockContext) -> None:
    assert stepflow_context.sync.put_blob({"ä": [1, 1.0]}) == blob_id({"ä": [1, 1.0]})


def test_an_unknown_blob_is_refused_as_by_the_server(stepflow_context: MockContext) -> None:
    with pytest.raises(RequestRefused, match=r"no blob `0+` .* `blob_id = context\.sync\.put_blob"):
        asyncio.run(stepflow_context.get_blob(NO_ID))


def test_blocking_the_event_loop_is_refused_as_by_the_server(stepflow_context: MockContext) -> None:
    async def mistaken(context: StepflowContext) -> str:
        return context.sync.put_blob(1)

    with pytest.raises(RuntimeError, match="use `await context"):
        asyncio.run(mistaken(stepflow_context))


def test_what_is_not_json_is_refused(stepflow_context: MockContext) -> None:
    with pytest.raises(NoJsonForm, match=r"`\$` is of type `object`, which has no JSON form"):
        stepflow_context.sync.put_blob(object())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"x": math.nan}, "`$.x` is NaN, which JSON does not have"),
        ({1: 1, "1": 2}, "`$` has two keys named `1`"),
        (["\ud800"], "`$[0]` holds half of a surrogate pair, which is not a character"),
    ],
)
def test_values_are_refused_as_by_a_real_context(value: object, said: str) -> None:
    context = MockContext(run_flow=lambda flow, input: input)
    flow: dict[str, object] = {"steps": []}
    for send in (
        lambda: context.sync.put_blob(value),
        lambda: context.sync.evaluate_flow(flow, value),
        lambda: context.sync.evaluate_run(flow, [1, value]),
        lambda: context.sync.submit_run(flow, [1], overrides=value),
        lambda: context.sync.submit_run({"steps": [], "metadata": value}, [1]),
    ):
        with pytest.raises(NoJsonForm) as refused:
            send()
        place = "$.metadata" if "metadata" in str(refused.value) else "$"
        assert said.replace("$", place, 1) in str(refused.value)
    assert context.submitted == []


def test_inputs_reach_the_tests_function_as_plain_json() -> None:
    @dataclass
    class Row:
        n: int

    context = MockContext(run_flow=lambda flow, input: input)
    assert context.sync.evaluate_run({"steps": []}, [Row(1), (1, 2)]) == [{"n": 1}, [1, 2]]
    assert context.submitted[0].inputs == [{"n": 1}, [1, 2]]


def test_everything_that_a_component_reads_can_be_set() -> None:
    context = MockContext(
        attempt=2, task_id="t", run_id="r", flow_id="f", step_id="s", session_id="x", state={"m": 1}
    )
    assert (context.attempt, context.task_id, context.run_id) == (2, "t", "r")
    assert (context.flow_id, context.step_id, context.session_id) == ("f", "s", "x")
    assert context.state == {"m": 1}
    context.attempt += 1
    assert context.attempt == 3


def test_a_flow_is_run_by_the_tests_own_function() -> None:
    context = MockContext(run_flow=lambda flow, input: [flow["name"], input])
    flow = {"name": "twice", "steps": []}
    assert context.sync.evaluate_flow(flow, 1) == ["twice", 1]
    assert asyncio.run(context.evaluate_run(flow, [1, 2])) == [["twice", 1], ["twice", 2]]
    assert [each.inputs for each in context.submitted] == [[1], [1, 2]]


def test_a_function_that_raises_fails_the_flow() -> None:
    context = MockContext(run_flow=lambda flow, input: 1 // input)
    with pytest.raises(FlowFailed, match=r"in item 1: .*by zero") as failed:
        context.sync.evaluate_run({"steps": []}, [1, 0])
    assert failed.value.kind == "COMPONENT_FAILED"


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda it: it.submit_run(FLOW, [1], key="a\ud800"), "$.key"),
        (lambda it: it.evaluate_flow(FLOW, 1, key="\ud800"), "$.key"),
        (lambda it: it.evaluate_flow_by_id("\ud800", 1), "$.flowId"),
        (lambda it: it.get_blob("\ud800"), "$.blob_id"),
        (lambda it: it.get_run("\ud800"), "$.runId"),
    ],
)
def test_half_a_surrogate_pair_in_an_argument_is_refused_with_its_name(
    call: Callable[[Any], object], place: str
) -> None:
    context = MockContext(run_flow=lambda flow, input: input)
    with pytest.raises(NoJsonForm, match="holds half of a surrogate pair") as refused:
        call(context.sync)
    assert refused.value.path == place


def test_a_key_returns_the_run_that_has_it() -> None:
    counted = iter(range(9))
    context = MockContext(run_flow=lambda flow, input: next(counted))
    once = [context.sync.evaluate_flow({"steps": []}, 0, key="k") for _ in range(2)]
    assert once == [0, 0]
    run = context.sync.submit_run({"steps": []}, [0])
    assert context.sync.get_run(run.run_id, include_results=True).results is not None


@pytest.mark.parametrize("key", ["k", ""])
def test_a_key_belongs_to_one_flow(key: str) -> None:
    context = MockContext(run_flow=lambda flow, input: input).sync
    run = context.submit_run(FLOW, [1], key=key)
    with pytest.raises(RequestRefused, match=f"to run `{run.run_id}` of another flow") as refused:
        context.submit_run(FLOW | {"output": 1}, [1], key=key)
    assert refused.value.code == -32000
    assert context.submit_run(FLOW, [1], key=key).run_id == run.run_id


def test_ids_in_capitals_are_accepted() -> None:
    context = MockContext(run_flow=lambda flow, input: input).sync
    id = context.put_blob(FLOW, BlobType.flow)
    assert context.get_blob(id.upper()) == FLOW
    run = context.submit_run_by_id(id.upper(), [1])
    assert run.flow_id == id
    assert context.get_run(run.run_id.upper()).run_id == run.run_id


def test_without_a_function_flows_are_refused(stepflow_context: MockContext) -> None:
    with pytest.raises(RequestRefused, match="MockContext\\(run_flow="):
        stepflow_context.sync.evaluate_flow({"steps": []}, 1)


def test_after_a_cancel_requests_raise(stepflow_context: MockContext) -> None:
    async def component(context: MockContext) -> None:
        waiting = asyncio.create_task(context.wait_cancelled())
        await asyncio.sleep(0)
        context.cancel("enough")
        await waiting

    asyncio.run(component(stepflow_context))
    assert stepflow_context.cancelled and stepflow_context.sync.wait_cancelled()
    with pytest.raises(Cancelled, match="enough"):
        stepflow_context.raise_if_cancelled()
    with pytest.raises(Cancelled, match="enough"):
        stepflow_context.sync.put_blob(1)


def test_ids_are_fresh_for_each_context() -> None:
    assert MockContext().task_id != MockContext().task_id


FLOW: dict[str, Any] = {"steps": []}
STEP: dict[str, Any] = {"id": "a", "component": "/python/a"}
NO_ID = "0" * 64


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (lambda it: it.get_blob(NO_ID), -32000, "no blob"),
        (lambda it: it.get_blob(7), -32602, "Expected `str`, got `int`"),
        (lambda it: it.get_run("1"), -32012, "`1` is not a run id"),
        (lambda it: it.get_run(""), -32012, "`` is not a run id"),
        (lambda it: it.get_run(str(uuid.uuid4())), -32011, "no run"),
        (lambda it: it.get_run(str(uuid.uuid4()), wait="yes"), -32602, r"`\$.wait`"),
        (lambda it: it.evaluate_flow_by_id("abc", 1), -32012, "`abc` is not a flow id"),
        (lambda it: it.evaluate_flow_by_id("", 1), -32012, "`` is not a flow id"),
        (lambda it: it.evaluate_flow_by_id(NO_ID, 1), -32011, "no flow"),
        (lambda it: it.evaluate_flow({"steps": 1}, 1), -32000, r"not a flow .* at `\$.steps`"),
        (lambda it: it.evaluate_flow([FLOW], 1), -32602, "not an object"),
        (lambda it: it.evaluate_flow(FLOW, 1, key=7), -32602, r"`\$.key`"),
        (lambda it: it.evaluate_run(FLOW, [1], max_concurrency=0), -32602, "at least 1"),
        (lambda it: it.evaluate_run(FLOW, [1], max_concurrency="2"), -32602, "maxConcurrency"),
        (lambda it: it.submit_run(FLOW, [1], key="k", detached=True), -32602, "no `detached`"),
        (lambda it: it.submit_run(FLOW, [1], wait=1), -32602, r"`\$.wait`"),
        (lambda it: it.get_blob("x"), -32602, "`x` is not the id of a blob"),
        (lambda it: it.get_blob("A" * 64), -32000, "no blob"),
        (lambda it: it.get_blob("g" * 64), -32602, "is not the id of a blob"),
        (lambda it: it.evaluate_run(FLOW, [1], max_concurrency=2**32), -32602, "at most 4,294"),
        (lambda it: it.evaluate_run(FLOW, [1], max_concurrency=2**40), -32602, "at most 4,294"),
        (lambda it: it.evaluate_run(FLOW, [1], max_concurrency=-1), -32602, ">= 0"),
        (lambda it: it.put_blob("not b64!", "binary"), -32602, "not base64"),
        (lambda it: it.put_blob("eA", "binary"), -32602, "not base64"),
        (lambda it: it.put_blob("ä", "binary"), -32602, "not base64"),
        (lambda it: it.put_blob("YR==", "binary"), -32602, "not base64"),
        (lambda it: it.put_blob(5, "binary"), -32602, "not base64"),
        (lambda it: it.put_blob("x", "flow"), -32602, "not an object"),
        (lambda it: it.evaluate_flow(FLOW | {"timeout": "5x"}, 1), -32000, "not a duration"),
        (lambda it: it.evaluate_flow(FLOW | {"output": {"$step": "q"}}, 1), -32000, "no step `q`"),
        (lambda it: it.evaluate_flow({"steps": [STEP, STEP]}, 1), -32000, "another step `a`"),
        (lambda it: it.evaluate_flow({"steps": [STEP | {"id": " "}]}, 1), -32000, "id is blank"),
        (lambda it: it.evaluate_flow(FLOW | {"variables": {}}, 1), -32000, "an old spelling"),
        (
            lambda it: it.evaluate_flow({"steps": [STEP | {"on_error": {}}]}, 1),
            -32000,
            r"an old spelling at `\$.steps\[0\].on_error`",
        ),
        (
            lambda it: it.evaluate_flow({"steps": [STEP | {"input": {"$step": "a"}}]}, 1),
            -32000,
            "dependency cycle",
        ),
        (
            lambda it: it.evaluate_flow({"steps": [STEP | {"timeout": "5x"}]}, 1),
            -32000,
            r"not a duration.* at `\$.steps\[0\].timeout`",
        ),
        (lambda it: it.evaluate_flow(FLOW, 1, overrides=5), -32000, "expected an object"),
        (lambda it: it.evaluate_flow(FLOW, 1, {"zz": 1}), -32000, "overrides do not fit"),
        (lambda it: it.evaluate_flow(FLOW, 1, {"steps": {"q": {"value": {}}}}), -32000, "step `q`"),
        (
            lambda it: it.evaluate_flow({"steps": [STEP]}, 1, {"steps": {"a": {}}}),
            -32000,
            "`value`",
        ),
        (
            lambda it: it.evaluate_flow({"steps": [STEP]}, 1, {"steps": {"a": {"value": []}}}),
            -32000,
            "`merge_patch` of step `a` is an object",
        ),
    ],
)
def test_a_call_that_a_server_refuses_is_refused_with_its_code(
    call: Callable[[Any], object], code: int, said: str
) -> None:
    context = MockContext(run_flow=lambda flow, input: input)
    with pytest.raises(RequestRefused, match=said) as refused:
        call(context.sync)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.evaluate_run(FLOW, "abc"),
        lambda it: it.evaluate_run(FLOW, {"a": 1}),
        lambda it: it.evaluate_run(FLOW, 1),
        lambda it: it.evaluate_flow("flow.yaml", 1),
    ],
)
def test_a_call_that_no_server_ever_sees_raises_the_same(call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(MockContext(run_flow=lambda flow, input: input).sync)


def test_valid_overrides_and_blobs_are_accepted() -> None:
    context = MockContext(run_flow=lambda flow, input: input).sync
    for overrides in (
        None,
        {},
        {"steps": {"a": {"value": {"component": "/python/b"}}}},
        {"a": {"$type": "json_patch", "value": []}},
    ):
        assert context.evaluate_flow({"steps": [STEP]}, 1, overrides) == 1
    assert context.get_blob(context.put_blob("eA==", BlobType.binary)) == "eA=="


def test_an_unknown_type_of_blob_is_refused(stepflow_context: MockContext) -> None:
    with pytest.raises(ValueError, match="picture"):
        stepflow_context.sync.put_blob(1, "picture")  # type: ignore[arg-type]


def test_results_are_returned_only_if_they_are_asked_for() -> None:
    context = MockContext(run_flow=lambda flow, input: input)
    run = context.sync.submit_run(FLOW, [1])
    assert run.results is None
    assert context.sync.get_run(run.run_id).results is None
    told = context.sync.get_run(run.run_id, include_results=True).results
    waited = context.sync.submit_run(FLOW, [1], wait=True).results
    assert told is not None and waited is not None
    assert [each.result for each in told] == [each.result for each in waited]


def test_a_flow_sees_its_input_as_json() -> None:
    context = MockContext(run_flow=lambda flow, input: str(type(input)))
    assert context.sync.evaluate_flow(FLOW, (1, 2)) == "<class 'list'>"


@pytest.mark.parametrize("attempt", [0, -1, True, 1.0])
def test_attempts_are_counted_from_one(attempt: Any) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        MockContext(attempt=attempt)
