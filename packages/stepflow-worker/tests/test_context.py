"""What components ask of the server while they run."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

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


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(SOURCE)


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
def test_a_refusal_is_the_components_failure_unless_it_is_caught(
    worker: "Worker", component: str
) -> None:
    execute = worker.begin_execute(component, 1)
    id = worker.called("blobs/put")["id"]
    worker.send(id=id, error={"code": -32000, "message": "no room", "data": None})
    error = worker.answer(execute)["error"]
    assert error["code"] == -32003
    assert error["message"] == "`blobs/put` was refused: no room (error -32000)"
    assert error["data"]["type"] == "stepflow.protocol.errors.RequestRefused"


def test_an_answer_that_makes_no_sense_is_named(worker: "Worker") -> None:
    execute = worker.begin_execute("/store", 1)
    worker.send(id=worker.called("blobs/put")["id"], result={"blob": "?"})
    error = worker.answer(execute)["error"]
    assert error["data"]["type"] == "stepflow.worker.errors.UnusableAnswer"
    assert "blob_id" in error["message"]


def test_the_context_says_where_the_execute_belongs(worker: "Worker") -> None:
    assert worker.output("/named_context") == [
        "01a201db-08a0-7403-9639-442082c5705e",
        "273713568602c7e556a2137317c10e72b80df6e18d06c68eb6f0c26a04bdd3e0",
        "s1",
        1,
        "01a201db-08a0-7403-9639-000000000001",
        None,
    ]


def test_the_sync_context_is_refused_where_it_would_block_the_loop(worker: "Worker") -> None:
    error = worker.execute("/blocks")["error"]
    assert "use `await context.get_blob(…)`" in error["message"]


def test_a_blob_without_json_form_fails_before_anything_is_sent(worker: "Worker") -> None:
    assert worker.execute("/no_json")["error"]["data"]["type"] == "TypeError"
    assert worker.output("/named_context")
