"""`/udf`: which code is a function, what it is called with, and the errors when there is none."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from stepflow.protocol import blob_id

if TYPE_CHECKING:
    from conftest import Json, Start, Worker

TASK = "01a201db-08a0-7403-9639-000000000001"
Udf = Callable[..., "Json"]
CALLS = itertools.count()


@pytest.fixture(scope="module")
def worker(start_once: "Start") -> "Worker":
    return start_once("server = StepflowServer(builtins=['udf'])")


@pytest.fixture
def udf(worker: "Worker") -> Udf:
    """Run code with an input, as a step of `/udf` would, and return the answer.

    Each call has its own blob: the shared worker keeps the functions of blobs that it knows,
    and would not ask for a blob that another test has used.
    """

    def answer(code: object, input: object = None, **blob: Any) -> "Json":
        content = {"code": code, "input_schema": {}, "call": next(CALLS), **blob}
        id = worker.begin_execute("/udf", {"blob_id": blob_id(content), "input": input})
        worker.give_blob(worker.called("blobs/get"), content)
        return worker.answer(id)

    return answer


CODE = [
    "input.a + 1",
    "input['a'] + 1",
    "lambda order: order.a + 1",
    "lambda order: (lambda input: input + 1)(order['a'])",
    "def f(order):\n    return order.a + 1",
    "f = lambda order: order.a + 1",
    "async def f(order):\n    return order.a + 1",
    "if input.a > 0:\n    return input.a + 1\nreturn 0",
    "    one = 1\n    return input.a + one",
    "from math import floor\ndef _one(): return 1\ndef f(order): return floor(order.a) + _one()",
    "class One:\n    value = 1\ndef f(order): return order.a + One.value",
    "class Wanted(dict): pass\ndef f(order: Wanted): return order['a'] + 1",
    "RunnableLambda(lambda order: order.a + 1)",
    "def make(order): return RunnableLambda(lambda each: each['a'] + 1)",
    "sum(input.a * each for each in [1]) + 1",
]


@pytest.mark.parametrize("code", CODE)
def test_code_is_a_function_or_a_body_or_an_expression(udf: Udf, code: str) -> None:
    assert udf(code, {"a": 1})["result"] == {"output": 2}


@pytest.mark.parametrize("code", ["json.dumps", "lambda each: json.dumps(each)"])
def test_json_math_and_re_are_defined(udf: Udf, code: str) -> None:
    assert udf(code, {"a": [1]})["result"] == {"output": '{"a": [1]}'}


def test_objects_inside_of_the_input_have_attributes_too(udf: Udf) -> None:
    assert udf("[each.x.y for each in input.rows]", {"rows": [{"x": {"y": 1}}]})["result"] == {
        "output": [1]
    }


def test_one_of_several_functions_can_be_named(udf: Udf) -> None:
    code = "def f(each): return 1\ndef g(each): return 2"
    assert udf(code, function_name="g")["result"] == {"output": 2}


@pytest.mark.parametrize(
    "code",
    [
        "def f(each, context): return context.attempt",
        "async def f(each, context): return context.attempt",
        "context.attempt",
        "import asyncio\nawait asyncio.sleep(0)\nreturn context.attempt",
    ],
)
def test_code_may_use_its_context(udf: Udf, code: str) -> None:
    assert udf(code)["result"] == {"output": 1}


def test_code_is_fetched_once_and_its_input_checked_each_time(udf: Udf, worker: "Worker") -> None:
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    assert "result" in udf("input.a", {"a": [1]}, input_schema=schema, call="twice")
    id = blob_id({"code": "input.a", "input_schema": schema, "call": "twice"})
    answer = worker.execute("/udf", {"blob_id": id, "input": {"a": [1, "x"]}})
    assert answer["error"]["code"] == -32002
    assert answer["error"]["data"] == {"path": "$.input.a[1]"}


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        ({"code": "1 +"}, "line 1: invalid syntax"),
        ({"code": "x = 1\ny = ("}, "line 2: '(' was never closed"),
        ({"code": ""}, "define one public function; it defines none"),
        ({"code": "x = 1"}, "define one public function; it defines none"),
        ({"code": "def f(a): 1\ndef g(a): 2"}, "it defines `f`, `g`"),
        ({"code": "def f(a): 1", "function_name": "g"}, "no function `g`; it defines `f`"),
        ({"code": "def f(): 1"}, "it takes nothing"),
        ({"code": "def f(a, b, c): 1"}, "it takes `a`, `b`, `c`"),
        ({"code": "return '\0'"}, "NUL"),
        ({"code": 1}, "Expected `str`, got `int` - at `$.code`"),
        ({"code": "1", "input_schema": 1}, "at `$.input_schema`"),
        (
            {"code": "1", "input_schema": {"type": "strin"}},
            "`$.input_schema.type` is no JSON Schema",
        ),
        ({"code": "1", "input_schema": {"$ref": "http://localhost/x"}}, "leads nowhere"),
    ],
)
def test_code_that_cannot_run_is_explained(udf: Udf, blob: dict[str, Any], said: str) -> None:
    error = udf(**blob)["error"]
    assert error["message"].startswith("the code in blob `")
    assert said in error["message"]
    assert error["data"]["retryable"] is False


def test_a_failure_shows_the_blob_and_the_line_of_the_code(udf: Udf) -> None:
    code = "ratio = input.a / input.b\nreturn ratio"
    error = udf(code, {"a": 1, "b": 0}, call="fails")["error"]
    assert error["message"] == "division by zero"
    id = blob_id({"code": code, "input_schema": {}, "call": "fails"})
    frames = error["data"]["traceback"].splitlines()
    assert frames[1:3] == [
        f'  File "<udf {id}>", line 1, in udf',
        "    ratio = input.a / input.b",
    ]


def test_an_exception_at_the_top_level_is_the_failure(udf: Udf) -> None:
    error = udf("raise ValueError('not today')\ndef f(each): 1")["error"]
    assert (error["message"], error["data"]["type"]) == ("not today", "ValueError")


def test_a_missing_attribute_is_explained(udf: Udf) -> None:
    error = udf("input.cost", {"price": 1})["error"]
    assert error["message"] == "there is no `cost` in the input; there is `price`"


def test_a_missing_blob_is_reported_by_the_server(worker: "Worker") -> None:
    id = worker.begin_execute("/udf", {"blob_id": "0" * 64, "input": None})
    request = worker.called("blobs/get")
    worker.send(id=request["id"], error={"code": -32000, "message": "no such blob"})
    assert "no such blob" in worker.answer(id)["error"]["message"]


@pytest.mark.parametrize(
    "code",
    [
        "context.sync.get_blob('begun')\nwhile True: pass\nreturn 0",
        "await context.get_blob('begun')\nawait context.wait_cancelled()\nreturn 0",
    ],
)
def test_code_that_never_ends_is_cancelled(worker: "Worker", code: str) -> None:
    content = {"code": code, "input_schema": {}}
    id = worker.begin_execute("/udf", {"blob_id": blob_id(content), "input": None})
    worker.give_blob(worker.called("blobs/get"), content)
    worker.give_blob(worker.called("blobs/get"), "go on")
    worker.send(method="components/cancel", params={"task_id": TASK, "attempt": 1})
    assert worker.answer(id)["error"]["code"] == -32005


def test_code_that_blocks_does_not_delay_others(start: "Start") -> None:
    worker = start("server = StepflowServer(builtins=['udf'])")
    content = {"code": "import time\ntime.sleep(600)\nreturn 0", "input_schema": {}}
    worker.begin_execute("/udf", {"blob_id": blob_id(content), "input": None})
    worker.give_blob(worker.called("blobs/get"), content)
    content = {"code": "1", "input_schema": {}}
    id = worker.begin_execute("/udf", {"blob_id": blob_id(content), "input": None})
    worker.give_blob(worker.called("blobs/get"), content)
    assert worker.answer(id)["result"] == {"output": 1}
