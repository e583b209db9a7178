"""Spans of executes: the server's span is the parent, their requests are children, and they are optional."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Json, Start, Worker

HEAD = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stepflow.worker import StepflowContext, StepflowServer

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
server = StepflowServer()

@server.component
def spans(input):
    return [
        {
            "name": each.name,
            "span": f"{each.context.span_id:016x}",
            "trace": f"{each.context.trace_id:032x}",
            "parent": f"{each.parent.span_id:016x}" if each.parent else None,
            "attributes": dict(each.attributes),
            "status": each.status.status_code.name,
            "events": [event.name for event in each.events],
        }
        for each in kept.get_finished_spans()
    ]
"""

SOURCE = """
@server.component
def double(input: int) -> int:
    return 2 * input

@server.component
async def double_later(input: int) -> int:
    return 2 * input

@server.component
def fails(input): raise ValueError("no")

@server.component
def asks(input, context: StepflowContext):
    return context.sync.get_blob("x")

@server.component
async def asks_within(input, context: StepflowContext):
    with trace.get_tracer("mine").start_as_current_span("mine"):
        return await context.get_blob("x")
"""

TRACE, SPAN = "01a201db08a074039639443eb8bbe2b0", "9159834200000002"


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(SOURCE, head=HEAD)


def spans(worker: "Worker") -> "dict[str, Json]":
    """Return the finished spans by name."""
    return {each["name"]: each for each in worker.output("/spans")}


@pytest.mark.parametrize("component", ["/double", "/double_later"])
def test_an_execute_is_a_span_under_the_servers(worker: "Worker", component: str) -> None:
    assert worker.output(component, 2) == 4
    span = spans(worker)[component]
    assert (span["trace"], span["parent"], span["status"]) == (TRACE, SPAN, "UNSET")
    assert span["attributes"]["stepflow.attempt"] == 1
    assert span["attributes"]["stepflow.step_id"] == "s1"


def test_a_failure_is_in_its_span(worker: "Worker") -> None:
    assert "error" in worker.execute("/fails")
    span = spans(worker)["/fails"]
    assert (span["status"], span["events"]) == ("ERROR", ["exception"])


@pytest.mark.parametrize(("component", "asking"), [("/asks", "/asks"), ("/asks_within", "mine")])
def test_a_request_belongs_to_the_span_that_makes_it(
    worker: "Worker", component: str, asking: str
) -> None:
    id = worker.begin_execute(component)
    request = worker.called("blobs/get")
    worker.give_blob(request, 1)
    worker.answer(id)
    told = request["params"]["observability"]
    assert (told["trace_id"], told["step_id"]) == (TRACE, "s1")
    assert told["span_id"] == spans(worker)[asking]["span"]


def test_a_span_that_a_component_starts_is_a_child(worker: "Worker") -> None:
    id = worker.begin_execute("/asks_within")
    worker.give_blob(worker.called("blobs/get"), 1)
    worker.answer(id)
    found = spans(worker)
    assert found["mine"]["parent"] == found["/asks_within"]["span"]


def test_invalid_ids_begin_a_new_trace(worker: "Worker") -> None:
    observability = {"trace_id": "no id", "span_id": "0" * 16}
    params = {"component": "/double", "input": 1, "attempt": 1, "observability": observability}
    assert worker.request("components/execute", params)["result"] == {"output": 2}
    assert spans(worker)["/double"]["parent"] is None


def test_opentelemetry_is_not_imported_when_nothing_turns_spans_on(start: "Start") -> None:
    worker = start(
        "@server.component\n"
        "def imported(input): return [each for each in sys.modules if 'opentelemetry' in each]"
    )
    assert worker.output("/imported") == []


def test_a_collector_in_the_environment_gets_the_spans(
    start: "Start", monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.put((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        worker = start("@server.component\ndef double(input: int) -> int: return 2 * input")
        assert worker.output("/double", 2) == 4
        worker.close_input()
        path, body = posted.get(timeout=30)
        assert path == "/v1/traces"
        assert b"/double" in body and b"stepflow-worker" in body
        collector.shutdown()


def test_a_collector_without_the_extra_is_warned_about(
    start: "Start", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = "raise ModuleNotFoundError('No module named opentelemetry')"
    (tmp_path / "opentelemetry.py").write_text(missing)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    worker = start("@server.component\ndef double(input: int) -> int: return 2 * input")
    assert worker.output("/double", 2) == 4
    assert "pip install 'stepflow-worker[otel]'" in worker.stderr
