"""The answers to single messages: bodies, events and statuses, byte by byte."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

SOURCE = """
@server.component
async def echo(input):
    return input

@server.component
def echo_sync(input):
    return input

@server.component(inline=True)
async def echo_inline(input):
    return input

@server.component
def fails(input: str) -> None:
    raise ComponentError(input)

@server.component
async def get(input: str, context: StepflowContext):
    return await context.get_blob(input)

@server.component
def get_sync(input: str, context: StepflowContext):
    return context.sync.get_blob(input)

@server.component
def kind(input, given: "StepflowStreamingContext") -> list:
    return [type(given).__name__, given.session_id]

@server.component
async def raw(input: msgspec.Raw, context) -> msgspec.Raw:
    return msgspec.Raw(b'{"a":\\r\\n  [1.50,\\n"\\\\n"]}')
"""


@pytest.fixture(scope="module")
def worker(serve_once: "Serve") -> "HttpWorker":
    return serve_once(SOURCE)


def test_the_first_line_on_stdout_is_the_port_and_nothing_else(worker: "HttpWorker") -> None:
    assert worker.first_line == b'{"port": %d}\n' % worker.port


def test_the_handshake_and_the_list(worker: "HttpWorker") -> None:
    params = {"runtime_protocol_version": 1}
    assert worker.request("initialize", params)["result"]["server_protocol_version"] == 1
    done = worker.notify("initialized", {})
    assert (done.status, done.body, done.headers["content-type"]) == (
        202,
        b'""',
        "application/json",
    )
    listed = worker.request("components/list")["result"]["components"]
    assert [each["component"] for each in listed][:2] == ["/echo", "/echo_sync"]


@pytest.mark.parametrize("component", ["/echo", "/echo_sync", "/echo_inline"])
def test_a_component_without_context_answers_in_the_body(
    worker: "HttpWorker", component: str
) -> None:
    params = {"component": component, "input": {"ä": [1.50, "\n"]}, "attempt": 1}
    params["observability"] = {}
    body = {"jsonrpc": "2.0", "id": "r4", "method": "components/execute", "params": params}
    got = worker.post(json.dumps(body).encode())
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert got.body.decode() == (
        '{"jsonrpc":"2.0","id":"r4","result":{"output":{"ä":[1.5,"\\n"]}}}'
    )


@pytest.mark.parametrize("component", ["/get", "/get_sync"])
def test_a_component_with_context_answers_with_events(worker: "HttpWorker", component: str) -> None:
    stream = worker.begin(component, "b" * 64, id="r1")
    assert stream.response.status == 200
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(stream.headers["stepflow-instance-id"]) == 16
    request = stream.message()
    assert (request["method"], request["params"]["blob_id"]) == ("blobs/get", "b" * 64)
    assert (request["params"]["task_id"], request["params"]["attempt"]) == (
        "01a201db-08a0-7403-9639-000000000001",
        1,
    )
    worker.give_blob(request, "é ✓ 𝄞")
    assert stream.block() == (
        b'data: {"jsonrpc":"2.0","id":"r1",'
        b'"result":{"output":"\\u00e9 \\u2713 \\ud834\\udd1e"}}\n\n'
    )
    assert stream.block() == b""


def test_components_get_a_streaming_context(worker: "HttpWorker") -> None:
    output = worker.begin("/kind").message()["result"]["output"]
    assert output == ["StepflowStreamingContext", None]


def test_line_breaks_in_a_raw_value_do_not_break_an_event(worker: "HttpWorker") -> None:
    block = worker.begin("/raw", [1]).block()
    assert block.endswith(b'"result":{"output":{"a":[1.50,"\\n"]}}}\n\n')
    assert block.count(b"\n") == 2 and b"\r" not in block


def test_line_breaks_between_the_tokens_of_a_message_do_not_matter(worker: "HttpWorker") -> None:
    params = {"component": "/get", "input": "x", "attempt": 1, "observability": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "components/execute", "params": params}
    text = json.dumps({**body, "params": {**params, "component": "/echo"}}, indent=2)
    got = worker.post(text.replace("\n", "\r\n").encode())
    assert got.json["result"] == {"output": "x"}


def test_a_component_failure_is_an_answer_like_any_other(worker: "HttpWorker") -> None:
    error = worker.execute("/fails", "oh no")["error"]
    assert (error["code"], error["message"]) == (-32003, "oh no")


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("components/execute", {"component": "/nowhere"}, -32602),
        (
            "components/execute",
            {"component": "/nowhere", "input": 1, "attempt": 1, "observability": {}},
            -32001,
        ),
        ("components/info", {"component": "/nowhere"}, -32001),
        ("components/info", {}, -32602),
        ("no/such", {}, -32601),
        ("blobs/put", {}, -32601),
    ],
)
def test_a_request_that_cannot_be_served_is_answered_with_200_and_the_error(
    worker: "HttpWorker", method: str, params: dict[str, object], code: int
) -> None:
    answer = worker.request(method, params, id="r9")
    assert (answer["id"], answer["error"]["code"]) == ("r9", code)


@pytest.mark.parametrize(
    ("body", "code", "id"),
    [
        (b'{"jsonrpc": "2.0", "id": ', -32700, None),
        (b"", -32700, None),
        (b"\xff", -32700, None),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "initialize"}]', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 7}', -32600, 7),
        (b'{"jsonrpc": "2.0", "id": [], "method": "initialize"}', -32600, None),
        (b'{"jsonrpc": "1.0", "id": "a", "method": "initialize"}', -32600, "a"),
        (b'{"jsonrpc": "2.0", "id": 2, "method": "m", "result": {}}', -32600, 2),
    ],
)
def test_an_invalid_message_is_400_with_the_error_in_the_body(
    worker: "HttpWorker", body: bytes, code: int, id: object
) -> None:
    got = worker.post(body)
    assert (got.status, got.headers["content-type"]) == (400, "application/json")
    assert (got.json["id"], got.json["error"]["code"]) == (id, code)


def test_an_answer_without_a_request_is_ignored(worker: "HttpWorker") -> None:
    assert worker.send({"id": "zzz", "result": {"blob_id": "x"}}).status == 202


def test_pages_for_people(worker: "HttpWorker") -> None:
    health = worker.get("/health").json
    assert (health["status"], len(health["instanceId"])) == ("healthy", 16)
    assert health.keys() == {"status", "instanceId", "timestamp", "service"}
    listed = worker.get("/components").json["components"]
    assert worker.get("/components/echo").json == listed[0]
    assert worker.get("/components/nowhere").status == 404
    assert worker.get("/nowhere").status == 404
    assert worker.ask("DELETE", "/").status == 405


def test_the_page_of_components_loads_nothing_from_other_hosts(serve: "Serve") -> None:
    worker = serve(
        "from stepflow.worker import StepflowServer\n"
        "server = StepflowServer(version='1.4')\n"
        "@server.component\n"
        "def less(rows: list[int]) -> int:\n"
        "    'Counts <b>what</b> there is.'\n"
        "    return len(rows)\n"
    )
    page = worker.get("/docs")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text = page.body.decode()
    assert "/less" in text
    assert "Counts &lt;b&gt;what&lt;/b&gt; there is." in text
    assert "Stepflow worker 1.4" in text
    assert "&quot;integer&quot;" in text
    assert "//" not in text.replace("<!doctype", "")
