"""What flows can rely on, with our server or the published one, and our worker or a published one."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.interop.pairs import (
    Pair,
    program_of_070,
    program_of_092,
    worker_070_over_http,
    worker_070_over_stdio,
)

SUB_FLOW = {
    "name": "sub",
    "steps": [{"id": "add", "component": "/py/add", "input": {"$input": "$"}}],
    "output": {"$step": "add", "path": "$.sum"},
}
UDF = {"code": "input['n'] * 2", "input_schema": {"type": "object"}}


def udf_flow() -> Any:
    """Return a flow that puts code into a blob and runs it."""
    put = {"data": {"$literal": UDF}, "blob_type": "data"}
    run = {"blob_id": {"$step": "code", "path": "$.blob_id"}, "input": {"$input": "$"}}
    steps = [
        {"id": "code", "component": "/builtin/put_blob", "input": put},
        {"id": "run", "component": "/py/udf", "input": run},
    ]
    return {"steps": steps, "output": {"$step": "run"}}


def failure(result: Any) -> str:
    """Return all texts of a failed FlowResult."""
    assert result["outcome"] == "failed", result
    return json.dumps(result["error"])


def test_components_are_listed_with_their_schemas(pair: Pair) -> None:
    add = next(each for each in pair.components() if each["component"].endswith("/add"))
    assert add["description"] == "Adds a and b."
    listed = {each["component"].removeprefix("/py") for each in pair.components()}
    assert {"/add", "/fail", "/keep", "/evaluate", "/where"} <= listed


def test_a_component_is_executed(pair: Pair) -> None:
    assert pair.output("/py/add", {"a": 1, "b": 2**40}) == {"sum": 1 + 2**40}


def test_many_executes_at_once_keep_their_answers(pair: Pair) -> None:
    with ThreadPoolExecutor(16) as pool:
        sums = pool.map(lambda n: pair.output("/py/add", {"a": n, "b": n}), range(40))
        assert [each["sum"] for each in sums] == [2 * n for n in range(40)]


def test_blobs_come_back(pair: Pair) -> None:
    kept = pair.output("/py/keep", {"rows": [1, 2.5, None, "ä🦀"]})
    assert kept["data"] == {"rows": [1, 2.5, None, "ä🦀"]}
    assert len(kept["blob_id"]) == 64


def test_a_missing_blob_is_the_components_failure(pair: Pair) -> None:
    assert "blob" in failure(pair.step("/py/miss", {}))


def test_a_component_runs_a_flow_on_its_own_worker(pair: Pair) -> None:
    input = {"flow": SUB_FLOW, "input": {"a": 20, "b": 22}}
    assert pair.output("/py/evaluate", input) == {"output": 42}


def test_a_component_runs_a_flow_for_many_inputs(pair: Pair) -> None:
    inputs = [{"a": n, "b": n} for n in range(10)]
    found = pair.output("/py/evaluate_all", {"flow": SUB_FLOW, "inputs": inputs})
    assert found == {"outputs": [2 * n for n in range(10)]}


def test_a_sub_flow_that_fails_is_told_from_one_that_could_not_run(pair: Pair) -> None:
    # Not a failure of the worker: after that, the published server ends its worker, and the parent step fails too.
    steps = [{"id": "fail", "component": "/builtin/get_blob", "input": {"blob_id": "0" * 64}}]
    flow = {"name": "sub", "steps": steps, "output": {"$step": "fail"}}
    assert pair.output("/py/evaluate_bad", {"flow": flow}) == {"failed": True}


def test_an_exception_fails_the_flow_and_the_worker_goes_on(pair: Pair) -> None:
    assert "no luck with Ada" in failure(pair.step("/py/fail", {"name": "Ada"}))
    assert pair.output("/py/add", {"a": 1, "b": 1}) == {"sum": 2}


def test_an_unknown_component_fails_the_flow(pair: Pair) -> None:
    assert "/nope" in failure(pair.step("/py/nope", {}))


def test_input_that_does_not_fit_fails_the_flow(pair: Pair) -> None:
    assert failure(pair.step("/py/add", {"a": "one", "b": 2}))


def test_a_component_sees_where_it_runs(pair: Pair) -> None:
    seen = pair.output("/py/where", {})
    assert seen["step"] == "only"
    assert seen["attempt"] == 1
    assert len(seen["run"]) == 36


def test_code_in_a_blob_is_run(pair: Pair) -> None:
    assert pair.run(udf_flow(), {"n": 21}) == {"outcome": "success", "result": 42}


@pytest.mark.parametrize("pair", [worker_070_over_stdio, worker_070_over_http], indirect=True)
def test_a_worker_of_0_7_reads_the_metadata_of_its_flow_and_of_a_step(pair: Pair) -> None:
    step = {"id": "reads", "component": "/py/metadata", "input": {"step": "reads"}}
    step["metadata"] = {"owner": "Ada"}
    result = pair.run({"steps": [step], "output": {"$step": "reads"}, "metadata": {"cost": 3}})
    read = {"flow_metadata": {"cost": 3}, "step_metadata": {"owner": "Ada"}}
    assert result == {"outcome": "success", "result": read}


@pytest.mark.parametrize("pair", [program_of_070, program_of_092], indirect=True)
def test_a_program_as_it_was_installed_runs_code_in_a_blob(pair: Pair) -> None:
    assert pair.run(udf_flow(), {"n": 21}) == {"outcome": "success", "result": 42}
