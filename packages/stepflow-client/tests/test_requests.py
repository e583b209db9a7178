"""The client's requests, and how it reads answers; a function replaces the network."""

import asyncio
import json
from collections.abc import Callable
from typing import cast
from uuid import UUID

import httpx
import pytest

from stepflow.client import (
    ApiError,
    AsyncStepflowClient,
    BadRequest,
    ConnectionFailed,
    FlowResultFailed,
    FlowResultSuccess,
    NotFound,
    Run,
    StepflowClient,
    Unavailable,
    UnexpectedAnswer,
)

RUN = {
    "runId": "01890000-0000-7000-8000-000000000001",
    "flowId": "f" * 64,
    "flowName": None,
    "status": "running",
    "itemCount": 1,
    "items": {"total": 1, "completed": 0, "running": 1, "failed": 0, "cancelled": 0},
    "createdAt": "2025-01-02T03:04:05.678Z",
    "somethingNew": {"from": "a later server"},
}
STORED = {
    "flowId": "f" * 64,
    "stored": True,
    "diagnostics": {"diagnostics": [], "numFatal": 0, "numError": 0, "numWarning": 0},
}
HEALTH = {"status": "healthy", "timestamp": "2025-01-02T03:04:05Z", "version": "0.1.0"}

Answer = Callable[[httpx.Request], httpx.Response]


class Wire:
    """Gives every request the same answer, and keeps the last request."""

    def __init__(self, status: int, body: object) -> None:
        self.response = httpx.Response(status, json=body)
        self.request: httpx.Request | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        return self.response

    @property
    def sent(self) -> object:
        assert self.request is not None
        return json.loads(self.request.content)


def client(answer: Answer) -> StepflowClient:
    return StepflowClient("http://test", transport=httpx.MockTransport(answer))


def refusal(status: int, **more: object) -> Wire:
    body = {"code": status, "kind": "SOME_KIND", "message": "it is wrong", "requestId": "r-1"}
    return Wire(status, body | more)


def test_health_is_read() -> None:
    wire = Wire(200, HEALTH)
    health = client(wire).health()
    assert (health.status, health.version, health.timestamp.year) == ("healthy", "0.1.0", 2025)
    assert wire.request is not None
    assert (wire.request.method, wire.request.url.path) == ("GET", "/api/v1/health")


def test_a_flow_is_stored_as_a_document_or_as_text() -> None:
    wire = Wire(200, STORED)
    assert client(wire).store_flow({"steps": []}).stored
    assert wire.sent == {"flow": {"steps": []}}
    client(wire).store_flow("steps: []", dry_run=True)
    assert wire.sent == {"flow": "steps: []", "dryRun": True}


def test_diagnostics_are_typed() -> None:
    found = {
        "kind": "dependencyCycle",
        "code": 3005,
        "level": "fatal",
        "formatted": "dependency cycle",
        "path": "$.steps[0]",
    }
    diagnostics = {"diagnostics": [found], "numFatal": 1, "numError": 0, "numWarning": 0}
    answer = client(Wire(200, STORED | {"stored": False, "diagnostics": diagnostics})).store_flow(
        {"steps": []}
    )
    assert not answer.stored
    assert [(each.code, each.level) for each in answer.diagnostics.diagnostics] == [(3005, "fatal")]


def test_one_input_becomes_a_list_of_one() -> None:
    wire = Wire(202, RUN)
    run = client(wire).run(flow_id="f" * 64, input=[1, 2])
    assert wire.sent == {"flowId": "f" * 64, "input": [[1, 2]]}
    assert run.run_id == UUID(cast(str, RUN["runId"]))
    assert (run.status, run.items.running, run.result) == ("running", 1, None)


def test_many_inputs_are_sent_as_they_are() -> None:
    wire = Wire(200, RUN)
    client(wire).run(
        flow={"steps": []},
        inputs=[1, 2],
        variables={"k": "v"},
        max_concurrency=3,
        wait=True,
        timeout_secs=9,
    )
    assert wire.sent == {
        "flow": {"steps": []},
        "input": [1, 2],
        "variables": {"k": "v"},
        "maxConcurrency": 3,
        "wait": True,
        "timeoutSecs": 9,
    }


def test_waiting_for_a_run_is_not_limited_by_the_read_timeout() -> None:
    wire = Wire(200, RUN)
    with client(wire) as stepflow:
        stepflow.get_run("some-run", wait=True)
        assert wire.request is not None and wire.request.extensions["timeout"]["read"] is None
        stepflow.get_run("some-run")
        assert wire.request.extensions["timeout"]["read"] == 30.0


def test_a_finished_run_carries_its_result() -> None:
    done = RUN | {
        "status": "completed",
        "completedAt": "2025-01-02T03:04:06Z",
        "result": {"outcome": "success", "result": {"n": 12345678901234567890}},
    }
    run = client(Wire(200, done)).get_run(cast(str, RUN["runId"]))
    assert run.result == FlowResultSuccess(outcome="success", result={"n": 12345678901234567890})


def test_a_failed_flow_is_a_result_and_not_an_exception() -> None:
    error = {"code": 500, "kind": "COMPONENT_FAILED", "message": "boom"}
    failed = RUN | {"status": "failed", "result": {"outcome": "failed", "error": error}}
    result = client(Wire(200, failed)).get_run(cast(str, RUN["runId"])).result
    assert isinstance(result, FlowResultFailed)
    assert (result.error.kind, result.error.message) == ("COMPONENT_FAILED", "boom")


def test_a_run_needs_exactly_one_flow() -> None:
    with pytest.raises(TypeError, match="either `flow_id` or `flow`"):
        client(Wire(200, RUN)).run()
    with pytest.raises(TypeError, match="either `flow_id` or `flow`"):
        client(Wire(200, RUN)).run(flow_id="x", flow="steps: []")


def test_a_run_takes_one_input_or_many() -> None:
    with pytest.raises(TypeError, match="either `input`, for one item, or `inputs`"):
        client(Wire(200, RUN)).run(flow_id="x", input=1, inputs=[1])


def test_a_refusal_names_its_places_and_its_request() -> None:
    details = [{"path": "/input/3/q", "message": "is not a number"}]
    with pytest.raises(BadRequest) as caught:
        client(refusal(400, details=details)).run(flow_id="x")
    assert str(caught.value) == (
        "SOME_KIND: it is wrong\n  /input/3/q: is not a number\n(request r-1)"
    )
    assert (caught.value.code, caught.value.kind, caught.value.request_id) == (
        400,
        "SOME_KIND",
        "r-1",
    )


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (503, Unavailable), (429, Unavailable), (418, ApiError)]
)
def test_a_refusal_has_the_class_of_its_status(status: int, error: type[ApiError]) -> None:
    with pytest.raises(ApiError) as caught:
        client(refusal(status)).health()
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [200, 502])
def test_an_answer_of_another_server_is_recognised(status: int) -> None:
    def proxy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text="<html>gateway</html>")

    with pytest.raises(UnexpectedAnswer, match=rf"http://test/api/v1/health \(HTTP {status}\)"):
        client(proxy).health()


def test_a_server_that_does_not_listen_is_reported_with_advice() -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(ConnectionFailed, match="stepflow serve") as caught:
        client(refused).health()
    assert caught.value.url == "http://test/"


def test_address_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPFLOW_URL", "http://elsewhere:1")
    monkeypatch.setenv("STEPFLOW_TOKEN", "t0k")
    wire = Wire(200, HEALTH)
    StepflowClient(transport=httpx.MockTransport(wire)).health()
    assert wire.request is not None
    assert str(wire.request.url) == "http://elsewhere:1/api/v1/health"
    assert wire.request.headers["authorization"] == "Bearer t0k"


def test_a_run_id_cannot_leave_its_place_in_the_path() -> None:
    wire = Wire(200, RUN)
    client(wire).get_run("../flows")
    assert wire.request is not None
    assert wire.request.url.raw_path == b"/api/v1/runs/..%2Fflows"


def test_the_async_client_has_the_same_methods() -> None:
    async def every_method() -> Run:
        async with AsyncStepflowClient(
            "http://test", transport=httpx.MockTransport(Wire(200, HEALTH))
        ) as stepflow:
            assert (await stepflow.health()).version == "0.1.0"
        async with AsyncStepflowClient(
            "http://test", transport=httpx.MockTransport(Wire(200, STORED))
        ) as stepflow:
            assert (await stepflow.store_flow("steps: []")).stored
        async with AsyncStepflowClient(
            "http://test", transport=httpx.MockTransport(Wire(200, RUN))
        ) as stepflow:
            await stepflow.run(flow_id="x")
            return await stepflow.get_run("y")

    assert asyncio.run(every_method()).status == "running"


def test_the_async_client_raises_the_same_errors() -> None:
    async def ask(answer: Answer) -> None:
        async with AsyncStepflowClient(
            "http://test", transport=httpx.MockTransport(answer)
        ) as stepflow:
            await stepflow.health()

    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(NotFound):
        asyncio.run(ask(refusal(404)))
    with pytest.raises(ConnectionFailed):
        asyncio.run(ask(refused))


@pytest.mark.parametrize(
    "written", ["http://there:1/api/v1", "http://there:1/api/v1/", "http://there:1/", "there:1"]
)
def test_an_address_may_be_written_as_the_server_says_it_or_without_its_scheme(
    written: str,
) -> None:
    wire = Wire(200, HEALTH)
    StepflowClient(written, transport=httpx.MockTransport(wire)).health()
    assert wire.request is not None
    assert str(wire.request.url) == "http://there:1/api/v1/health"
