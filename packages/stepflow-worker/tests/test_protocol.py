"""What a worker answers, message by message."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Start, Worker

SOURCE = """
class In(msgspec.Struct):
    a: int
    b: int = 2

class Out(msgspec.Struct):
    sum: int

@server.component
def add(input: In) -> Out:
    "Adds a and b."
    return Out(input.a + input.b)

@server.component(name="deep/echo", description="Gives back.")
async def echo(input):
    return input

class OwnError(Exception):
    pass

@server.component
def fails(input: str) -> None:
    raise OwnError(input)

@server.component
async def refuses(input: dict) -> None:
    raise ComponentError("not now", code=42, data={"k": [1]}, retryable=True, retry_after=1.5)

@server.component
def wrong_output(input: int) -> Out:
    return Out("seven")

@server.component
def no_json(input: int):
    return object()

@server.component
def exits(input: int):
    sys.exit(3)

@server.component
def attaches_an_object(input: int):
    raise ComponentError("with an object", data=object())
"""

LONG_FAILURES = """
@server.component
def long(input: str) -> None:
    raise ValueError(input)

@server.component
def wide(input: None) -> None:
    raise type("E" * 1_000_000, (ComponentError,), {})("too much", data=["x" * 2_000_000])
"""


@pytest.fixture
def worker(start: "Start") -> "Worker":
    return start(SOURCE)


def test_initialize_announces_the_capacity_and_that_cancel_is_understood(worker: "Worker") -> None:
    result = worker.request("initialize", {"runtime_protocol_version": 1, "capabilities": {}})
    assert result["jsonrpc"] == "2.0"
    assert result["result"]["server_protocol_version"] == 1
    assert 1 <= result["result"]["capabilities"]["max_concurrency"] <= 32
    assert result["result"]["capabilities"].keys() == {"max_concurrency", "cancel"}


def test_a_worker_of_async_components_only_announces_256(start: "Start") -> None:
    worker = start("@server.component\nasync def f(input): ...")
    capabilities = worker.request("initialize", {"runtime_protocol_version": 99})["result"]
    assert capabilities["capabilities"] == {"max_concurrency": 256, "cancel": True}


def test_the_list_has_schemas_from_the_types_in_order_of_registration(worker: "Worker") -> None:
    listed = worker.request("components/list")["result"]["components"]
    assert [each["component"] for each in listed[:2]] == ["/add", "/deep/echo"]
    assert listed[0]["description"] == "Adds a and b."
    assert listed[0]["input_schema"]["$defs"]["In"]["required"] == ["a"]
    assert listed[0]["output_schema"]["$defs"]["Out"]["properties"] == {"sum": {"type": "integer"}}
    assert listed[1] == {
        "component": "/deep/echo",
        "description": "Gives back.",
        "input_schema": {},
        "output_schema": {},
    }


def test_info_describes_one_component(worker: "Worker") -> None:
    info = worker.request("components/info", {"component": "/add"})["result"]["info"]
    assert info["description"] == "Adds a and b."


def test_infer_schema_is_answered_without_a_schema(worker: "Worker") -> None:
    params = {"component": "/add", "input_schema": {}}
    assert worker.request("components/infer_schema", params)["result"] == {}


def test_execute_is_served_before_the_handshake(start: "Start") -> None:
    assert start(SOURCE).execute("/add", {"a": 1}) == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"output": {"sum": 3}},
    }


def test_string_ids_are_answered_as_strings(worker: "Worker") -> None:
    worker.send(id="7", method="components/list", params={})
    assert worker.answer("7")["id"] == "7"


def test_integers_of_64_bits_key_order_and_text_are_not_changed(worker: "Worker") -> None:
    value = {"z": 2**63 - 1, "a": -(2**63), "é\u2028": "\x00🦀", "u": 2**64 - 1, "n": [None, 1.0]}
    output = worker.output("/deep/echo", value)
    assert output == value
    assert list(output) == list(value)


def test_input_of_the_wrong_shape_names_its_place(worker: "Worker") -> None:
    error = worker.execute("/add", {"a": "x"})["error"]
    assert error["code"] == -32002
    assert error["data"] == {"path": "$.a"}
    assert error["message"] == "`/add` cannot take `$.a`: Expected `int`, got `str`"


def test_an_exception_is_the_components_failure_with_type_and_traceback(worker: "Worker") -> None:
    error = worker.execute("/fails", "boom")["error"]
    assert (error["code"], error["message"]) == (-32003, "boom")
    assert error["data"]["type"] == "components.OwnError"
    assert error["data"]["traceback"].startswith("Traceback")
    assert "raise OwnError(input)" in error["data"]["traceback"]
    assert "stepflow/worker" not in error["data"]["traceback"]


@pytest.mark.parametrize("text", ["x" * 21_000_000, "word " * 4_200_000, "line\n" * 4_200_000])
def test_a_message_of_21_mb_is_cut_and_marked(start: "Start", text: str) -> None:
    error = start(LONG_FAILURES).execute("/long", text)["error"]
    assert len(error["message"]) < (64 << 10) + 100
    assert error["message"].startswith(text[:60_000])
    assert error["message"].endswith("characters more)")
    assert "in long" in error["data"]["traceback"]
    assert len(error["data"]["traceback"]) <= 32 << 10


def test_a_long_type_and_large_data_are_cut_and_marked(start: "Start") -> None:
    error = start(LONG_FAILURES).execute("/wide", None)["error"]
    assert error["message"] == "too much"
    assert len(error["data"]["type"]) < (1 << 10) + 100
    assert error["data"]["type"].endswith("characters more)")
    assert error["data"]["data"].startswith("left out")


def test_a_component_error_has_its_own_code_data_and_retry_advice(worker: "Worker") -> None:
    error = worker.execute("/refuses", {})["error"]
    assert (error["code"], error["message"]) == (-32003, "not now")
    del error["data"]["traceback"]
    assert error["data"] == {
        "type": "stepflow.worker.errors.ComponentError",
        "code": 42,
        "retryable": True,
        "retry_after": 1.5,
        "data": {"k": [1]},
    }


def test_output_that_does_not_fit_the_declared_type_names_the_field(worker: "Worker") -> None:
    error = worker.execute("/wrong_output", 1)["error"]
    assert error["code"] == -32003
    assert "`$.sum`" in error["message"] and "Expected `int`, got `str`" in error["message"]


@pytest.mark.parametrize(
    ("component", "said"),
    [
        ("/no_json", "object"),
        ("/exits", "3"),
        ("/attaches_an_object", "with an object"),
    ],
)
def test_every_kind_of_failure_is_answered(worker: "Worker", component: str, said: str) -> None:
    error = worker.execute(component, 1)["error"]
    assert error["code"] == -32003
    assert said in error["message"]
    assert worker.output("/add", {"a": 1}) == {"sum": 3}


def test_an_unknown_component_is_refused_with_the_known_ones(worker: "Worker") -> None:
    for method in ("components/execute", "components/info"):
        params = {"component": "/nope", "input": 1, "attempt": 1, "observability": {}}
        error = worker.request(method, params)["error"]
        assert error["code"] == -32001
        assert error["data"] == {"component": "/nope"}
        assert "`/add`" in error["message"]


@pytest.mark.parametrize(
    ("line", "id", "code"),
    [
        (b'{"jsonrpc": "2.0", "id": \n', None, -32700),
        (b"\xff\xfe\n", None, -32700),
        (b"[]\n", None, -32600),
        (b'{"jsonrpc":"1.0","id":5,"method":"components/list"}\n', 5, -32600),
        (b'{"jsonrpc":"2.0","id":5}\n', 5, -32600),
        (b'{"id":5,"method":"components/list","result":{}}\n', 5, -32600),
        (b'{"id":5,"method":7}\n', 5, -32600),
        (b'{"id":5,"method":"no/such","params":{}}\n', 5, -32601),
        (b'{"id":5,"method":"blobs/put","params":{}}\n', 5, -32601),
        (b'{"id":5,"method":"components/execute","params":{"component":"/add"}}\n', 5, -32602),
        (b'{"id":5,"method":"components/info","params":[]}\n', 5, -32602),
        (b'{"id":5,"method":"components/info","params":{"component":"\xff"}}\n', 5, -32602),
        (b'{"id":5,"params":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", None, -32700),
    ],
)
def test_every_bad_message_gets_one_answer_and_the_worker_goes_on(
    worker: "Worker", line: bytes, id: int | None, code: int
) -> None:
    worker.send_line(line)
    answer = worker.receive()
    assert (answer["id"], answer["error"]["code"]) == (id, code)
    assert worker.output("/add", {"a": 1}) == {"sum": 3}


def test_blank_lines_notifications_and_stray_answers_are_not_answered(worker: "Worker") -> None:
    worker.send_line(b"\n  \r\n")
    worker.send(method="initialized", params={})
    worker.send(method="something/else", params={})
    worker.send(id="nobody-asked", result={})
    worker.send(id=None, error={"code": -32700, "message": "what?"})
    id = worker.begin("components/list", {})
    assert worker.receive()["id"] == id
