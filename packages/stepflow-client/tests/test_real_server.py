"""The client against the real server."""

import asyncio

import pytest
from pydantic import JsonValue

from stepflow.client import (
    AsyncStepflowClient,
    FlowResult,
    FlowResultSuccess,
    NotFound,
    Run,
    StepflowClient,
)

pytestmark = pytest.mark.server

ECHO = """
name: echo
steps:
  - id: kept
    component: /builtin/put_blob
    input: { data: { $input: $ } }
output:
  blob: { $step: kept, path: blob_id }
  said: { $input: $.word }
"""


def said(result: FlowResult | None) -> JsonValue:
    assert isinstance(result, FlowResultSuccess)
    assert isinstance(result.result, dict)
    return result.result["said"]


def test_a_flow_is_stored_run_and_read_back(server_url: str) -> None:
    with StepflowClient(server_url) as stepflow:
        assert stepflow.health().status == "healthy"
        stored = stepflow.store_flow(ECHO)
        assert stored.stored and stored.diagnostics.num_error == 0

        run = stepflow.run(flow_id=stored.flow_id, input={"word": "hello"}, wait=True)
        assert run.status == "completed"
        assert said(run.result) == "hello"
        assert stepflow.get_run(run.run_id).status == "completed"


def test_a_dry_run_stores_nothing(server_url: str) -> None:
    with StepflowClient(server_url) as stepflow:
        checked = stepflow.store_flow("name: never stored\n" + ECHO.split("\n", 2)[2], dry_run=True)
        assert not checked.stored
        with pytest.raises(NotFound):
            stepflow.run(flow_id=checked.flow_id)


def test_a_flow_with_an_unknown_step_is_not_stored(server_url: str) -> None:
    with StepflowClient(server_url) as stepflow:
        refused = stepflow.store_flow({"steps": [], "output": {"$step": "nowhere"}})
    assert not refused.stored
    assert refused.diagnostics.num_fatal == 1


def test_a_run_that_does_not_exist_is_not_found(server_url: str) -> None:
    with StepflowClient(server_url) as stepflow, pytest.raises(NotFound):
        stepflow.get_run("01890000-0000-7000-8000-000000000001")


def test_the_async_client_runs_a_batch(server_url: str) -> None:
    async def batch() -> Run:
        async with AsyncStepflowClient(server_url) as stepflow:
            return await stepflow.run(
                flow=ECHO, inputs=[{"word": "a"}, {"word": "b"}], wait=True, timeout_secs=30
            )

    run = asyncio.run(batch())
    assert (run.status, run.items.total, run.items.completed) == ("completed", 2, 2)
    assert run.results is not None
    assert [said(each.result) for each in run.results] == ["a", "b"]
