"""How many executes run at once, and how long each may take."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from stepflow.worker import RegistrationError, StepflowServer

if TYPE_CHECKING:
    from conftest import Json, Start, Worker

LIMITED = """
@server.component(max_concurrency=1)
def limited(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)

@server.component(max_concurrency=1)
async def limited_async(input: str, context: StepflowContext) -> str:
    return await context.get_blob(input)

@server.component
def other(input: str) -> str:
    return input

@server.component
async def other_async(input: str) -> str:
    return input

@server.component(max_concurrency=1)
async def calls_itself(input: int, context: StepflowContext) -> int:
    return await context.evaluate_flow_by_id("f" * 64, input) if input else 0
"""
BOTH = pytest.mark.parametrize("component", ["/limited", "/limited_async"])


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(LIMITED, "--max-concurrency", "2")


def test_a_components_limit_is_announced(worker: "Worker") -> None:
    hello = worker.request("initialize", {"runtime_protocol_version": 1})["result"]
    assert hello["capabilities"]["max_concurrency"] == 2
    assert hello["capabilities"]["components"] == {
        path: {"max_concurrency": 1} for path in ("/limited", "/limited_async", "/calls_itself")
    }


@BOTH
def test_above_a_components_limit_its_executes_wait_and_others_do_not(
    worker: "Worker", component: str
) -> None:
    ids = [worker.begin_execute(component, name) for name in ("a", "b", "c")]
    first = worker.called("blobs/get")
    assert worker.output("/other", "not held up") == "not held up"
    assert worker.output("/other_async", "not held up") == "not held up"
    for id, name in zip(ids, ("a", "b", "c"), strict=True):
        request = first if name == "a" else worker.called("blobs/get")
        assert request["params"]["blob_id"] == name
        worker.give_blob(request, name)
        assert worker.answer(id)["result"] == {"output": name}


@BOTH
def test_an_execute_that_waits_for_its_component_can_be_cancelled(
    worker: "Worker", component: str
) -> None:
    ids = [worker.begin_execute(component, name, attempt) for name, attempt in NAMED]
    request = worker.called("blobs/get")
    worker.cancel(attempt=2)
    assert worker.answer(ids[1])["error"]["code"] == -32005
    worker.give_blob(request, "a")
    request = worker.called("blobs/get")
    assert request["params"]["blob_id"] == "c"
    worker.give_blob(request, "c")
    assert [worker.answer(id)["result"]["output"] for id in (ids[0], ids[2])] == ["a", "c"]


NAMED = (("a", 1), ("b", 2), ("c", 3))


def test_a_component_whose_run_calls_it_again_does_not_wait_for_itself(worker: "Worker") -> None:
    outer = worker.begin_execute("/calls_itself", 1)
    request = worker.called("runs/submit")
    assert worker.output("/calls_itself", 0) == 0
    worker.send(id=request["id"], result=run_with(5))
    assert worker.answer(outer)["result"] == {"output": 5}


@pytest.mark.parametrize("component", ["/other", "/other_async", "/limited", "/limited_async"])
def test_a_thousand_executes_against_a_capacity_of_two_are_all_answered(
    worker: "Worker", component: str
) -> None:
    # The first two take the whole capacity until all others are queued.
    holding = [worker.begin_execute(each, "x") for each in ("/limited", "/limited_async")]
    requests = [worker.called("blobs/get") for _ in holding]
    ids = [worker.begin_execute(component, str(n)) for n in range(1_000)]
    for request in requests:
        worker.give_blob(request, "x")
    answers = [answer_of(worker, id) for id in holding + ids]
    assert answers == ["x", "x", *map(str, range(1_000))]


def answer_of(worker: "Worker", id: int) -> str:
    """Return the output of an execute. Each blob that it asks for contains its own id."""
    while (message := worker.next_message(id)).get("method") == "blobs/get":
        worker.give_blob(message, message["params"]["blob_id"])
    return str(message["result"]["output"])


def run_with(output: "Json") -> "Json":
    return {
        "runId": "01a201db-08a0-7403-9639-442082c5705f",
        "flowId": "f" * 64,
        "status": "completed",
        "items": {"total": 1, "completed": 1, "running": 0, "failed": 0, "cancelled": 0},
        "createdAt": "2026-01-01T00:00:00Z",
        "results": [
            {
                "itemIndex": 0,
                "status": "completed",
                "result": {"outcome": "success", "result": output},
            }
        ],
    }


TIMED = """
@server.component(timeout="50ms")
async def slow(input: int) -> None:
    await asyncio.Event().wait()

@server.component(timeout=0.05)
def slow_sync(input: int, context: StepflowContext) -> str:
    context.sync.wait_cancelled()
    context.raise_if_cancelled()

@server.component(timeout="30s")
async def patient(input: int) -> None:
    await asyncio.Event().wait()

@server.component
async def asks(input: str, context: StepflowContext) -> str:
    return await context.get_blob(input)

@server.component
def asks_sync(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)

@server.component
def waits_for_a_run(input: int, context: StepflowContext) -> None:
    context.sync.evaluate_flow_by_id("f" * 64, input)

@server.component(timeout="50ms")
def in_spite(input: int, context: StepflowContext) -> str:
    assert context.sync.wait_cancelled(30)
    return "done"
"""


@pytest.mark.parametrize("component", ["/slow", "/slow_sync"])
def test_a_components_own_timeout_ends_it(start: "Start", component: str) -> None:
    error = start(TIMED).execute(component, 1)["error"]
    assert error["code"] == -32004
    assert error["message"] == f"`{component}` did not end within 0.05 s, its own timeout"


@pytest.mark.parametrize("component", ["/patient", "/waits_for_a_run"])
def test_the_deadline_ends_it_when_that_is_earlier(start: "Start", component: str) -> None:
    worker = start(TIMED)
    error = worker.answer(worker.begin_execute(component, 1, deadline_ms=50))["error"]
    assert error["code"] == -32004
    assert "within 0.05 s, the time that its step had left" in error["message"]


@pytest.mark.parametrize("component", ["/asks", "/asks_sync"])
def test_a_timeout_names_the_request_that_was_waited_for(start: "Start", component: str) -> None:
    worker = start(TIMED)
    id = worker.begin_execute(component, "a", deadline_ms=100)
    worker.called("blobs/get")
    message = worker.answer(id)["error"]["message"]
    assert message.endswith("step had left; the server had not answered its `blobs/get`")


def test_a_deadline_also_ends_a_waiting_execute(start: "Start") -> None:
    worker = start(LIMITED, "--max-concurrency", "1")
    worker.begin_execute("/limited", "a")
    request = worker.called("blobs/get")
    queued = worker.begin_execute("/other", "b", deadline_ms=1)
    assert worker.answer(queued)["error"]["code"] == -32004
    worker.give_blob(request, "a")


def test_a_component_that_ends_in_spite_of_its_timeout_succeeds(start: "Start") -> None:
    assert start(TIMED).output("/in_spite", 1) == "done"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        (2, 2),
        (0.5, 0.5),
        (timedelta(minutes=2), 120),
    ],
)
def test_timeouts_are_written_as_in_flows(written: str | float | timedelta, seconds: float) -> None:
    server = StepflowServer()
    server.component(name="f", timeout=written)(lambda input: input)
    assert server.components["/f"].timeout == seconds


@pytest.mark.parametrize("written", ["", "30", "1.5s", "30m1h", "-1s", "forever", -1, "inf", True])
def test_an_invalid_timeout_is_refused(written: str | float) -> None:
    with pytest.raises(RegistrationError, match=r"its timeout: .* is not a duration"):
        StepflowServer().component(name="f", timeout=written)(lambda input: input)


@pytest.mark.parametrize("written", [0, "0s", timedelta()])
def test_a_timeout_of_zero_is_refused(written: str | float | timedelta) -> None:
    with pytest.raises(RegistrationError, match="leaves no time at all"):
        StepflowServer().component(name="f", timeout=written)(lambda input: input)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (0, "0 is less than 1"),
        (2**32, "more than 4,294,967,295"),
        (2**70, "more than"),
        ("2", "not a whole number"),
        (1.5, "not a whole number"),
        (True, "not a wh"),
    ],
)
def test_an_invalid_limit_is_refused(limit: Any, reason: str) -> None:
    with pytest.raises(RegistrationError, match=f"max_concurrency.*{reason}"):
        StepflowServer().component(name="f", max_concurrency=limit)(lambda input: input)


@pytest.mark.parametrize("serve", ["run_stdio", "run_http"])
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_concurrency": 0}, "max_concurrency: 0 is less than 1"),
        ({"max_concurrency": 2**32}, "max_concurrency: more than"),
        ({"drain_timeout": -1}, "drain_timeout: -1 is not a duration"),
        ({"drain_timeout": float("nan")}, "drain_timeout: nan is not a duration"),
        ({"drain_timeout": float("inf")}, "drain_timeout: inf is longer than a hundred years"),
        ({"drain_timeout": "30s"}, "drain_timeout: '30s' is a text"),
    ],
)
def test_impossible_numbers_are_refused_before_anything_is_served(
    serve: str, options: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        asyncio.run(getattr(StepflowServer(), serve)(**options))


def test_an_inline_component_runs_on_the_loop(start: "Start") -> None:
    worker = start(
        """
        @server.component(inline=True)
        def inline(input: int) -> bool:
            return asyncio.get_running_loop().is_running()

        @server.component
        def threaded(input: int) -> bool:
            return threading.current_thread() is threading.main_thread()
        """
    )
    assert worker.output("/inline", 1) is True
    assert worker.output("/threaded", 1) is False
