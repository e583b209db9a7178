"""The requests that components send to the server."""

import inspect
from typing import TYPE_CHECKING

import pytest

from stepflow.worker import StepflowContext, SyncContext

if TYPE_CHECKING:
    from conftest import Json, Start, Worker

SOURCE = """
@server.component
async def store(input, context: StepflowContext) -> str:
    return await context.put_blob(input)

@server.component
def store_sync(input, context: StepflowContext) -> str:
    return context.sync.put_blob(input)

@server.component
def named_context(input, context):
    return [context.run_id, context.flow_id, context.step_id, context.attempt, context.task_id,
            context.session_id]

@server.component
async def blocks(input, context: StepflowContext):
    return context.sync.get_blob("x")

@server.component
async def no_json(input, context: StepflowContext):
    return await context.put_blob(object())
"""

IMPATIENT = """
from stepflow.worker._context.requests import Requests
Requests.answer_timeout = 0.05
"""


@pytest.fixture(scope="module")
def worker(start_once: "Start") -> "Worker":
    return start_once(SOURCE)


@pytest.mark.parametrize("component", ["/store", "/store_sync"])
def test_a_blob_is_put_in_the_name_of_the_execute(worker: "Worker", component: str) -> None:
    execute = worker.begin_execute(component, {"x": 1}, attempt=2)
    request = worker.called("blobs/put")
    params = request["params"]
    assert params.pop("observability")["step_id"] == "s1"
    assert params == {
        "data": {"x": 1},
        "blob_type": "data",
        "task_id": "01a201db-08a0-7403-9639-000000000001",
        "attempt": 2,
    }
    worker.send(id=request["id"], result={"blob_id": "f" * 64})
    assert worker.answer(execute)["result"] == {"output": "f" * 64}


@pytest.mark.parametrize("component", ["/store", "/store_sync"])
def test_a_refused_request_fails_the_component_unless_it_is_caught(
    worker: "Worker", component: str
) -> None:
    execute = worker.begin_execute(component, 1)
    id = worker.called("blobs/put")["id"]
    worker.send(id=id, error={"code": -32000, "message": "no room", "data": None})
    error = worker.answer(execute)["error"]
    assert error["code"] == -32003
    assert error["message"] == "`blobs/put` was refused: no room (error -32000)"
    assert error["data"]["type"] == "stepflow.protocol.errors.RequestRefused"


def test_an_unusable_answer_is_explained(worker: "Worker") -> None:
    execute = worker.begin_execute("/store", 1)
    worker.send(id=worker.called("blobs/put")["id"], result={"blob": "?"})
    error = worker.answer(execute)["error"]
    assert error["data"]["type"] == "stepflow.worker.errors.UnusableAnswer"
    assert "blob_id" in error["message"]


@pytest.mark.parametrize("component", ["/store", "/store_sync"])
def test_a_server_that_does_not_answer_is_waited_for_only_until_the_limit(
    start: "Start", component: str
) -> None:
    worker = start(SOURCE + IMPATIENT)
    error = worker.answer(worker.begin_execute(component, "a"))["error"]
    assert error["data"]["type"] == "stepflow.worker.errors.ServerTimeout"
    assert "the server did not answer `blobs/put` within 0.05 s: it is" in error["message"]


def test_the_context_has_the_ids_of_the_execute(worker: "Worker") -> None:
    assert worker.output("/named_context") == [
        "01a201db-08a0-7403-9639-442082c5705e",
        "273713568602c7e556a2137317c10e72b80df6e18d06c68eb6f0c26a04bdd3e0",
        "s1",
        1,
        "01a201db-08a0-7403-9639-000000000001",
        None,
    ]


def test_the_sync_context_is_refused_on_the_event_loop(worker: "Worker") -> None:
    error = worker.execute("/blocks")["error"]
    assert "use `await context.get_blob(…)`" in error["message"]


def test_a_blob_without_json_form_fails_before_anything_is_sent(worker: "Worker") -> None:
    assert worker.execute("/no_json")["error"]["data"]["type"].endswith(".NoJsonForm")
    assert worker.output("/named_context")


RUNS = """
from stepflow.worker import FlowBuilder, FlowFailed, Value

builder = FlowBuilder(name="echo")
builder.set_output(Value.input())
FLOW = {"name": "echo", "output": {"$input": "$"}}

@server.component
async def flow(input, context: StepflowContext):
    return await context.evaluate_flow(FLOW, input, overrides={"steps": {}}, key="k")

@server.component
def flow_sync(input, context: StepflowContext):
    return context.sync.evaluate_flow(builder.build(), input, {"steps": {}}, "k")

@server.component
async def flow_of_a_builder(input, context: StepflowContext):
    return await context.evaluate_flow(builder, input, {"steps": {}}, "k")

@server.component
async def run(input, context: StepflowContext):
    return await context.evaluate_run_by_id("f" * 64, input, max_concurrency=2)

@server.component
def run_sync(input, context: StepflowContext):
    return context.sync.evaluate_run_by_id("f" * 64, input, 2)

@server.component
async def submit(input, context: StepflowContext):
    status = await context.submit_run_by_id("f" * 64, input, detached=True)
    return (await context.get_run(status.run_id, wait=True, include_results=True)).status

@server.component
def submit_sync(input, context: StepflowContext):
    status = context.sync.submit_run_by_id("f" * 64, input, detached=True)
    return context.sync.get_run(status.run_id, wait=True, include_results=True).status

@server.component
async def looks_at_the_failure(input, context: StepflowContext):
    try:
        await context.evaluate_flow_by_id("f" * 64, input)
    except FlowFailed as failed:
        return [failed.kind, failed.code, failed.message, failed.data]

@server.component
async def half_a_key(input, context: StepflowContext):
    await context.submit_run_by_id("f" * 64, [1], key="a\\ud800")

@server.component
async def a_path(input, context: StepflowContext):
    await context.evaluate_flow("flow.yaml", input)
"""

RUN = "01a201db-08a0-7403-9639-442082c5705f"


def a_run(*outcomes: "Json", status: str = "completed") -> "Json":
    """Return the status of a run whose items have these outcomes; the last one is listed first."""
    results = [
        {"itemIndex": index, "status": status, "result": outcome}
        for index, outcome in enumerate(outcomes)
    ]
    return {
        "runId": RUN,
        "flowId": "f" * 64,
        "status": status,
        "items": {
            "total": len(outcomes),
            "completed": 0,
            "running": 0,
            "failed": 0,
            "cancelled": 0,
        },
        "createdAt": "2026-01-01T00:00:00+00:00",
        "results": results[::-1],
    }


def success(result: "Json") -> "Json":
    return {"outcome": "success", "result": result}


FAILED = {
    "outcome": "failed",
    "error": {"code": 42, "kind": "COMPONENT_FAILED", "message": "no", "data": {"step": "s"}},
}


@pytest.fixture(scope="module")
def running(start_once: "Start") -> "Worker":
    return start_once(RUNS)


@pytest.mark.parametrize("component", ["/flow", "/flow_sync", "/flow_of_a_builder"])
def test_a_flow_is_stored_and_run_as_a_part_of_the_step(running: "Worker", component: str) -> None:
    execute = running.begin_execute(component, 7)
    stored = running.called("blobs/put")
    assert stored["params"]["blob_type"] == "flow"
    assert stored["params"]["data"] == {"name": "echo", "output": {"$input": "$"}}
    running.send(id=stored["id"], result={"blob_id": "f" * 64})
    request = running.called("runs/submit")
    assert request["params"].pop("observability")["step_id"] == "s1"
    assert request["params"] == {
        "flowId": "f" * 64,
        "inputs": [7],
        "wait": True,
        "overrides": {"steps": {}},
        "key": "k",
        "taskId": "01a201db-08a0-7403-9639-000000000001",
        "attempt": 1,
    }
    running.send(id=request["id"], result=a_run(success([7])))
    assert running.answer(execute)["result"] == {"output": [7]}


@pytest.mark.parametrize("component", ["/run", "/run_sync"])
def test_outputs_are_in_the_order_of_the_inputs(running: "Worker", component: str) -> None:
    execute = running.begin_execute(component, [1, 2])
    request = running.called("runs/submit")
    assert (request["params"]["inputs"], request["params"]["maxConcurrency"]) == ([1, 2], 2)
    running.send(id=request["id"], result=a_run(success("a"), success(None)))
    assert running.answer(execute)["result"] == {"output": ["a", None]}


def test_a_failure_of_a_published_server_without_a_kind_is_the_components(
    running: "Worker",
) -> None:
    execute = running.begin_execute("/looks_at_the_failure", 1)
    request = running.called("runs/submit")
    outcome = {"outcome": "failed", "error": {"code": 500, "message": "no"}}
    running.send(id=request["id"], result=a_run(outcome, status="failed"))
    assert running.answer(execute)["result"] == {"output": ["COMPONENT_FAILED", 500, "no", None]}


@pytest.mark.parametrize("component", ["/run", "/run_sync"])
def test_a_failed_item_is_the_components_failure_unless_it_is_caught(
    running: "Worker", component: str
) -> None:
    execute = running.begin_execute(component, [1, 2])
    request = running.called("runs/submit")
    running.send(id=request["id"], result=a_run(success("a"), FAILED, status="failed"))
    error = running.answer(execute)["error"]
    assert error["message"] == f"the run {RUN} failed in item 1: no (COMPONENT_FAILED)"
    assert error["data"]["data"] == {"runId": RUN, "itemIndex": 1, "error": FAILED["error"]}


@pytest.mark.parametrize(
    ("data", "said"), [({"retryable": False}, False), ({"retryable": True}, None), (None, None)]
)
def test_a_failure_inside_a_flow_that_forbids_a_retry_forbids_it_for_the_component(
    running: "Worker", data: "Json", said: bool | None
) -> None:
    execute = running.begin_execute("/run", [1])
    error = {"code": 42, "kind": "COMPONENT_FAILED", "message": "no", "data": data}
    failed = {"outcome": "failed", "error": error}
    running.send(id=running.called("runs/submit")["id"], result=a_run(failed, status="failed"))
    assert running.answer(execute)["error"]["data"].get("retryable") is said


def test_a_failed_flow_has_a_kind_code_message_and_data(running: "Worker") -> None:
    execute = running.begin_execute("/looks_at_the_failure", 1)
    running.send(id=running.called("runs/submit")["id"], result=a_run(FAILED, status="failed"))
    output = running.answer(execute)["result"]["output"]
    assert output == ["COMPONENT_FAILED", 42, "no", {"step": "s"}]


def test_a_cancelled_flow_has_failed_as_cancelled(running: "Worker") -> None:
    execute = running.begin_execute("/looks_at_the_failure", 1)
    running.send(id=running.called("runs/submit")["id"], result=a_run(None, status="cancelled"))
    assert running.answer(execute)["result"]["output"][0] == "CANCELLED"


@pytest.mark.parametrize("component", ["/submit", "/submit_sync"])
def test_a_run_is_submitted_and_its_status_is_read(running: "Worker", component: str) -> None:
    execute = running.begin_execute(component, [1])
    request = running.called("runs/submit")
    assert (request["params"]["detached"], request["params"]["wait"]) == (True, False)
    running.send(id=request["id"], result={**a_run(status="running"), "results": None})
    request = running.called("runs/get")
    assert {**request["params"], "observability": None} == {
        "runId": RUN,
        "wait": True,
        "includeResults": True,
        "resultOrder": "by_index",
        "observability": None,
        "taskId": "01a201db-08a0-7403-9639-000000000001",
        "attempt": 1,
    }
    running.send(id=request["id"], result=a_run(success(1)))
    assert running.answer(execute)["result"] == {"output": "completed"}


def test_a_run_without_all_its_results_is_an_unusable_answer(running: "Worker") -> None:
    execute = running.begin_execute("/run", [1, 2])
    run = a_run(success(1), success(2))
    running.send(id=running.called("runs/submit")["id"], result={**run, "results": None})
    error = running.answer(execute)["error"]
    assert error["data"]["type"] == "stepflow.worker.errors.UnusableAnswer"


def test_half_a_surrogate_pair_in_a_key_fails_before_anything_is_sent(running: "Worker") -> None:
    error = running.execute("/half_a_key")["error"]
    assert error["data"]["type"].endswith(".NoJsonForm")
    assert "`$.key` holds half of a surrogate pair" in error["message"]


def test_a_text_in_place_of_a_flow_is_refused_with_advice(running: "Worker") -> None:
    error = running.execute("/a_path")["error"]
    assert "ends in `_by_id`" in error["message"]


@pytest.mark.parametrize("component", ["/flow", "/flow_sync"])
def test_an_execute_that_waits_for_its_run_leaves_its_place_to_others(
    start: "Start", component: str
) -> None:
    worker = start(RUNS, "--max-concurrency", "1")
    waiting = worker.begin_execute(component, 1)
    worker.send(id=worker.called("blobs/put")["id"], result={"blob_id": "f" * 64})
    request = worker.called("runs/submit")
    # The run may have a step on this worker.
    assert worker.execute("/a_path")["error"]["code"] == -32003
    worker.send(id=request["id"], result=a_run(success(1)))
    assert worker.answer(waiting)["result"] == {"output": 1}


def test_the_sync_context_has_the_same_methods() -> None:
    def requests(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(each).parameters)
            for name, each in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")
        }

    blocking, awaited = requests(SyncContext), requests(StepflowContext)
    assert blocking.pop("wait_cancelled") == ["self", "timeout"]
    assert awaited.pop("wait_cancelled") == ["self"]
    assert awaited.pop("raise_if_cancelled") == ["self"]
    assert blocking == awaited
