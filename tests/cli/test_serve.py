"""`stepflow serve`: one line on stdout, JSON answers, and an end without output."""

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Doorbell, Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP, component
from tests.cli.serving import Answer, Server, begin, serving, until_ready


@pytest.fixture
def server(stepflow: Stepflow) -> Iterator[Server]:
    with serving(stepflow) as server:
        yield server


def test_it_is_healthy_and_ready(server: Server) -> None:
    health = server("GET", "/health")
    assert (health.status, health.body["status"]) == (200, "healthy")
    assert until_ready(server) == {"status": "ready", "waiting": [], "degraded": []}


def test_a_flow_is_stored_shown_and_run(server: Server) -> None:
    stored = server("POST", "/flows", {"flow": BUILTIN})
    assert stored.status == 200 and stored.body["stored"] is True
    flow_id = stored.body["flowId"]
    assert server("GET", f"/flows/{flow_id}").body["flow"]["name"] == "copy"

    run = server("POST", "/runs", {"flowId": flow_id, "input": [{"n": 1}], "wait": True})
    assert run.status == 200
    assert run.body["status"] == "completed"
    assert run.body["result"] == {"outcome": "success", "result": {"n": 1}}
    shown = server("GET", f"/runs/{run.body['runId']}").body
    assert (shown["status"], shown["itemCount"], shown["flowName"]) == ("completed", 1, "copy")


def test_a_run_that_is_not_waited_for_is_accepted(server: Server) -> None:
    created = server("POST", "/runs", {"flow": BUILTIN, "input": [1, 2]})
    assert created.status == 202
    run = server("GET", f"/runs/{created.body['runId']}?wait=true").body
    assert run["items"] == {"total": 2, "completed": 2, "running": 0, "failed": 0, "cancelled": 0}
    assert [item["result"]["result"] for item in run["results"]] == [1, 2]
    items = server("GET", f"/runs/{created.body['runId']}/items").body
    assert [item["itemIndex"] for item in items["items"]] == [0, 1]


def test_integers_keep_their_digits_and_objects_their_order(server: Server) -> None:
    flow = json.dumps({"steps": [], "output": {"z": {"$input": "$"}, "a": {"$literal": 1}}})
    raw = f'{{"flow": {flow}, "input": [9223372036854775807], "wait": true}}'.encode()
    answer = server("POST", "/runs", raw=raw)
    assert list(answer.body["result"]["result"].items()) == [("z", 9223372036854775807), ("a", 1)]


def test_a_failed_flow_is_a_result_and_no_error(server: Server) -> None:
    flow = BUILTIN.replace("/builtin/noop", "/builtin/load_file")
    run = server("POST", "/runs", {"flow": flow, "input": [{"path": "nowhere.json"}], "wait": True})
    assert (run.status, run.body["status"]) == (200, "failed")
    assert run.body["result"]["outcome"] == "failed"


def test_a_dry_run_stores_nothing(server: Server) -> None:
    checked = server("POST", "/flows", {"flow": BUILTIN, "dryRun": True}).body
    assert checked["stored"] is False
    assert server("GET", f"/flows/{checked['flowId']}").status == 404


def test_a_fatal_flow_is_answered_with_its_diagnostics(server: Server) -> None:
    answer = server("POST", "/flows", {"flow": "steps: []\noutput: {$step: nowhere}\n"})
    assert (answer.status, answer.body["stored"]) == (200, False)
    assert answer.body["diagnostics"]["numFatal"] == 1
    places = [(it["code"], it.get("line")) for it in answer.body["diagnostics"]["diagnostics"]]
    assert (3003, 2) in places


def test_a_run_of_a_fatal_flow_is_refused(server: Server) -> None:
    flow = {"steps": [], "output": {"$step": "nowhere"}}
    answer = server("POST", "/runs", {"flow": flow, "input": [1]})
    assert (answer.status, answer.body["kind"]) == (400, "INVALID_FLOW")
    assert answer.body["details"][0]["path"].startswith("/flow/output")


STRICT = {
    "schemas": {
        "type": "object",
        "properties": {"input": {"type": "object", "properties": {"q": {"type": "integer"}}}},
    },
    "output": {"$input": "$.q"},
}

REFUSED: dict[str, tuple[str, str, Any, int, str, str | None]] = {
    "an unknown route": ("GET", "/nowhere", None, 404, "NOT_FOUND", None),
    "another verb": ("PUT", "/runs", {}, 405, "METHOD_NOT_ALLOWED", None),
    "an unknown run": ("GET", "/runs/01890000-0000-7000-8000-000000000001", None, 404, "NOT_FOUND", None),
    "an id that is none": ("GET", "/runs/seven", None, 400, "INVALID_REQUEST", None),
    "an unknown flow": ("POST", "/runs", {"flowId": "0" * 64, "input": [1]}, 404, "NOT_FOUND", None),
    "an unknown field": ("POST", "/runs", {"flw": 1, "input": [1]}, 400, "INVALID_REQUEST", "/flw"),
    "a field of another type": (
        "POST", "/runs", {"flow": {}, "input": [1], "wait": "yes"}, 400, "INVALID_REQUEST", "/wait",
    ),
    "no input": ("POST", "/runs", {"flow": {}}, 400, "INVALID_REQUEST", "/input"),
    "no flow": ("POST", "/runs", {"input": [1]}, 400, "INVALID_REQUEST", "/flowId"),
    "an input of the wrong shape": (
        "POST", "/runs", {"flow": STRICT, "input": [{}, {"q": "x"}]}, 400, "INVALID_INPUT", "/input/1/q",
    ),
    "something that is not built": (
        "POST", "/runs", {"flow": {}, "input": [1], "labels": {"a": "b"}}, 400, "NOT_BUILT", "/labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_every_failure_is_json_with_a_kind(server: Server, mistake: str) -> None:
    method, path, body, status, kind, place = REFUSED[mistake]
    answer = server(method, path, body)
    assert (answer.status, answer.body["code"], answer.body["kind"]) == (status, status, kind)
    assert answer.body["message"] and answer.body["requestId"]
    if place is not None:
        assert place in [detail["path"] for detail in answer.body["details"]], answer.body


def test_a_body_that_is_not_json_is_refused_as_json(server: Server) -> None:
    answer = server("POST", "/runs", raw=b"{not json")
    assert (answer.status, answer.body["kind"]) == (400, "INVALID_REQUEST")


def test_a_running_run_can_be_cancelled_once(stepflow: Stepflow, doorbell: Doorbell) -> None:
    body = "open('doorbell', 'w').write('x')\nimport threading\nthreading.Event().wait()\nreturn {}"
    stepflow.write(components_py=component(body))
    server = begin(stepflow, "--worker", "components.py")
    run = server("POST", "/runs", {"flow": ONE_STEP, "input": [{}]}).body["runId"]
    doorbell.wait()
    assert server("POST", f"/runs/{run}/cancel").status == 200
    assert server("GET", f"/runs/{run}?wait=true").body["status"] == "cancelled"
    again = server("POST", f"/runs/{run}/cancel")
    assert (again.status, again.body["kind"]) == (409, "CONFLICT")
    server.process.send_signal(signal.SIGINT)
    assert stepflow.end(server.process).code == 0


def test_who_waits_is_answered_when_the_server_stops(
    stepflow: Stepflow, doorbell: Doorbell
) -> None:
    body = "open('doorbell', 'w').write('x')\nimport threading\nthreading.Event().wait()\nreturn {}"
    stepflow.write(components_py=component(body))
    server = begin(stepflow, "--worker", "components.py")
    waiting: list[Answer] = []
    import threading

    def wait() -> None:
        waiting.append(server("POST", "/runs", {"flow": ONE_STEP, "input": [{}], "wait": True}))

    waiter = threading.Thread(target=wait)
    waiter.start()
    doorbell.wait()
    server.process.send_signal(signal.SIGTERM)
    assert stepflow.end(server.process).code == 0
    waiter.join(timeout=30)
    assert waiting[0].body["status"] == "running"


def test_a_worker_that_cannot_start_degrades_the_server(
    stepflow: Stepflow,
) -> None:
    stepflow.write(components_py="import no_such_module\n")
    server = begin(stepflow, "--worker", "components.py")
    ready = until_ready(server)
    assert (ready["status"], ready["waiting"]) == ("ready", [])
    assert [it["plugin"] for it in ready["degraded"]] == ["python"]
    assert server("GET", "/health").status == 200
    server.process.send_signal(signal.SIGTERM)
    assert stepflow.end(server.process).code == 0


def test_a_state_store_that_it_does_not_have_is_refused(stepflow: Stepflow) -> None:
    (stepflow.folder / "c.yml").write_text("stateStore: {type: postgres, databaseUrl: x}\n")
    ended = stepflow("serve", "--port", "0", "--config", "c.yml")
    assert (ended.code, ended.stdout) == (3, "")
    assert "`stateStore`" in ended.stderr and "c.yml:1:" in ended.stderr


def test_the_state_store_that_it_has_is_taken(stepflow: Stepflow) -> None:
    (stepflow.folder / "c.yml").write_text("stateStore: {type: inMemory}\n")
    server = begin(stepflow, "--config", "c.yml")
    assert server("GET", "/health").status == 200
    server.process.send_signal(signal.SIGTERM)
    assert stepflow.end(server.process).code == 0


def test_an_open_address_must_be_allowed_explicitly(stepflow: Stepflow) -> None:
    ended = stepflow("serve", "--host", "0.0.0.0", "--port", "0")
    assert (ended.code, ended.stdout) == (2, "")
    assert "--insecure" in ended.stderr


def test_it_listens_on_a_host_name_and_accepts_it(stepflow: Stepflow) -> None:
    with serving(stepflow, "--host", "localhost") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server("GET", "/health").status == 200


@pytest.mark.parametrize("host", ["localhost:80", "http://localhost", "a b", ""])
def test_an_invalid_host_is_refused(stepflow: Stepflow, host: str) -> None:
    ended = stepflow("serve", "--port", "0", "--host", host)
    assert (ended.code, ended.stdout) == (2, "")
    assert "a host name without a port" in ended.stderr


def test_names_and_pages_that_may_call_it_are_configured(stepflow: Stepflow) -> None:
    (stepflow.folder / "c.yml").write_text(
        "server: {allowedHosts: [flows.example], cors: {origins: ['https://app.example']}}\n"
    )
    with serving(stepflow, "--config", "c.yml") as server:
        assert called(server, "flows.example", "https://app.example") == 200
        assert called(server, "other.example") == 403
        assert called(server, "flows.example", "https://other.example") == 403


def called(server: Server, host: str, origin: str | None = None) -> int:
    """Return the status of a request with this `Host`, from a page of this origin."""
    request = urllib.request.Request(server.url + "/health", headers={"Host": host})
    if origin is not None:
        request.add_header("Origin", origin)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_it_stops_although_clients_have_unfinished_requests(stepflow: Stepflow) -> None:
    port = int((server := begin(stepflow)).url.split(":")[2].split("/")[0])
    head = "POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with (
        socket.create_connection(("127.0.0.1", port)) as half_a_head,
        socket.create_connection(("127.0.0.1", port)) as half_a_body,
        socket.create_connection(("127.0.0.1", port)) as idle,
    ):
        half_a_head.sendall(head.encode())
        half_a_body.sendall(f"{head}Content-Length: 99\r\nExpect: 100-continue\r\n\r\n{{".encode())
        assert half_a_body.recv(99)  # now it waits for the body
        idle.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(999)
        server.process.send_signal(signal.SIGTERM)
        ended = stepflow.end(server.process)
    assert ended.code == 0
    assert "some requests did not end in 5 s" in ended.stderr


def test_a_port_that_is_taken_is_named(stepflow: Stepflow) -> None:
    server = begin(stepflow)
    port = server.url.split(":")[2].split("/")[0]
    second = Stepflow(stepflow.command, Path(stepflow.folder))
    ended = second("serve", "--port", port)
    assert (ended.code, ended.stdout) == (3, "")
    assert f"127.0.0.1:{port}" in ended.stderr
    server.process.send_signal(signal.SIGTERM)
    stepflow.end(server.process)


def test_without_a_command_it_serves(stepflow: Stepflow) -> None:
    process = stepflow.start("--port", "0")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["port"] > 0
    process.send_signal(signal.SIGTERM)
    assert stepflow.end(process).code == 0


def test_components_are_listed_with_their_schemas(server: Server) -> None:
    listed = server("GET", "/components").body
    assert (listed["complete"], listed["failedPlugins"]) == (True, [])
    (noop,) = [one for one in listed["components"] if one["component"] == "/builtin/load_file"]
    assert noop["plugin"] == "builtin"
    assert "path" in noop["input_schema"]["properties"]
    short = server("GET", "/components?includeSchemas=false").body["components"]
    assert [one["component"] for one in short] == [one["component"] for one in listed["components"]]
    assert not any("input_schema" in one for one in short)


def test_a_plugin_that_does_not_start_is_in_the_list_of_those_that_failed(
    stepflow: Stepflow,
) -> None:
    server = begin(stepflow, "--worker", "nowhere.py")
    listed = server("GET", "/components").body
    assert listed["complete"] is False
    assert [one["plugin"] for one in listed["failedPlugins"]] == ["python"]
    assert any(one["component"] == "/builtin/noop" for one in listed["components"])
    server.process.send_signal(signal.SIGTERM)
    stepflow.end(server.process)


def test_the_steps_of_a_run_say_how_far_they_are(server: Server) -> None:
    flow = {
        "steps": [
            {"id": "one", "component": "/builtin/noop", "input": {"$input": "$"}},
            {"id": "bad", "component": "/builtin/load_file", "input": {"path": "nowhere.csv"}},
            {"id": "after", "component": "/builtin/noop", "input": {"$step": "bad"}},
            {"id": "idle", "component": "/builtin/noop"},
        ],
        "output": [{"$step": "one"}, {"$step": "after"}],
    }
    run = server("POST", "/runs", {"flow": flow, "input": [{"n": 1}, 2], "wait": True}).body
    route = f"/runs/{run['runId']}/steps"
    steps = server("GET", f"{route}?itemIndex=1&includeOutputs=true").body["steps"]
    assert list(steps) == ["one", "bad", "after", "idle"]
    assert [step["status"] for step in steps.values()] == [
        "completed",
        "failed",
        "failed",
        "blocked",
    ]
    assert steps["one"]["result"] == {"outcome": "success", "result": 2}
    assert steps["bad"]["result"]["outcome"] == "failed"
    assert (steps["one"]["component"], steps["one"]["attempts"]) == ("/builtin/noop", 1)
    assert steps["one"]["scheduledAt"] <= steps["one"]["completedAt"]
    all_items = server("GET", route).body["steps"]
    assert [step["status"] for step in all_items.values()] == [
        "completed",
        "failed",
        "failed",
        "blocked",
    ]
    assert "result" not in all_items["one"]
    assert server("GET", f"{route}?itemIndex=2").status == 404


def test_a_run_can_override_steps_and_be_given_variables(server: Server) -> None:
    flow = {
        "schemas": {"properties": {"variables": {"properties": {"v": {"type": "integer"}}}}},
        "steps": [{"id": "copy", "component": "/builtin/noop", "input": {"$variable": "$.v"}}],
        "output": {"$step": "copy"},
    }
    body = {"flow": flow, "input": [None], "wait": True, "variables": {"v": 3}}
    plain = server("POST", "/runs", body).body
    assert plain["result"]["result"] == 3
    patch = {"steps": {"copy": {"$type": "merge_patch", "value": {"input": {"n": 2}}}}}
    changed = server("POST", "/runs", {**body, "overrides": patch}).body
    assert changed["result"]["result"] == {"n": 2}
    assert changed["flowId"] == plain["flowId"]
    again = server("POST", "/runs", {**body, "flow": None, "flowId": plain["flowId"]}).body
    assert again["result"]["result"] == 3
    refused = server("POST", "/runs", {**body, "overrides": {"steps": {"coyp": {"value": {}}}}})
    assert (refused.status, refused.body["kind"]) == (400, "INVALID_REQUEST")
    assert refused.body["details"][0]["path"] == "/overrides"
    assert "coyp" in refused.body["message"]
