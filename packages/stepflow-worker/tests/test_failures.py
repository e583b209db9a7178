"""How a step learns of an exception: groups, errors without a JSON form, and exceptions of every kind."""

from typing import TYPE_CHECKING, Any

import pytest

from stepflow.worker import ComponentError

if TYPE_CHECKING:
    from conftest import Start, Worker

SOURCE = """
@server.component
async def in_a_task(input):
    async def fails():
        raise ComponentError("no luck", code=7, retryable=False, retry_after=2.5, data={"a": 1})
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails())

@server.component
async def in_nested_tasks(input):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(in_a_task(input))

@server.component
def three(input):
    inner = ExceptionGroup("inner", [ValueError("b"), KeyError("c")])
    raise ExceptionGroup("two tasks failed", [ComponentError("a", retryable=False), inner])

@server.component
def many(input):
    raise ExceptionGroup("all failed", [ValueError("x" * 1000) for _ in range(10)])

@server.component
async def exits_in_a_task(input):
    async def child():
        sys.exit(3)
    if input == "awaited":
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(child())
    await asyncio.wait([asyncio.create_task(child())])
    return "went on"

class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")

class Shapeless:
    def __repr__(self):
        raise ValueError("no text")

class Base(BaseException):
    pass

class Quota(ComponentError):
    def __init__(self, used):
        self.used = used

class Odd(ComponentError):
    def __init__(self):
        super().__init__("odd")
        self.code = "seven"

class Rude(Exception):
    def __str__(self):
        raise SystemExit("rude")

class Rows(dict):
    def items(self):
        raise ValueError("no rows")

class Key:
    def __repr__(self):
        raise Base("no name")

class Untellable(Exception):
    def __getattribute__(self, name):
        raise Base("nothing")

RAISED = {
    "quota": lambda: Quota(3),
    "odd": lambda: Odd(),
    "rude": lambda: Rude(),
    "digits": lambda: ComponentError("said", data={"x": 10**5000}),
    "rows": lambda: ComponentError("said", data=Rows(a=float("nan"))),
    "key": lambda: ComponentError("said", data={Key(): 1}),
    "untellable": lambda: Untellable(),
    "mute": lambda: Mute(),
    "shapeless": lambda: ComponentError("said", data=Shapeless()),
    "half": lambda: ComponentError("said", data=[object(), "\\ud800"]),
    "base": lambda: Base("mine"),
    "base_group": lambda: BaseExceptionGroup("g", [Base("mine")]),
    "cancelled": lambda: asyncio.CancelledError("mine"),
    "generator_exit": lambda: GeneratorExit("mine"),
    "exit_code": lambda: SystemExit(3),
    "exit_0": lambda: SystemExit(0),
    "exit_without": lambda: SystemExit(),
    "exit_object": lambda: SystemExit(Rude()),
    "exit": lambda: SystemExit("mine"),
    "wrong": lambda: ComponentError("x", code="seven"),
}

@server.component
def raises(input):
    raise RAISED[input]()

@server.component
async def raises_async(input):
    raise RAISED[input]()
"""


@pytest.fixture(scope="module")
def worker(start_once: "Start") -> "Worker":
    return start_once(SOURCE)


@pytest.mark.parametrize("component", ["/in_a_task", "/in_nested_tasks"])
def test_a_group_of_one_error_is_that_error(worker: "Worker", component: str) -> None:
    error = worker.execute(component)["error"]
    data = error["data"]
    assert error["message"] == "no luck"
    assert (data["code"], data["retryable"], data["retry_after"]) == (7, False, 2.5)
    assert (data["type"], data["data"]) == ("stepflow.worker.errors.ComponentError", {"a": 1})
    assert "ExceptionGroup" in data["traceback"]


def test_a_group_of_several_errors_lists_them(worker: "Worker") -> None:
    error = worker.execute("/three")["error"]
    assert error["message"] == (
        "two tasks failed: stepflow.worker.errors.ComponentError: a; ValueError: b; KeyError: 'c'"
    )
    assert error["data"]["type"] == "ExceptionGroup"
    assert "retryable" not in error["data"]


def test_the_message_of_a_large_group_is_short(worker: "Worker") -> None:
    message = worker.execute("/many")["error"]["message"]
    assert "x… (" in message and " characters more); " in message
    assert message.startswith("all failed: ValueError: xxx")
    assert message.endswith("; and 7 more") and len(message) < 1000


@pytest.mark.parametrize("component", ["/raises", "/raises_async"])
@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("mute", "components.Mute"),
        ("quota", "3"),
        ("odd", "odd (ComponentError(code='seven'): the code is a whole number)"),
        ("rude", "components.Rude"),
        ("digits", "said (its `data` is left out: "),
        ("rows", "said (its `data` is left out: "),
        ("key", "said (its `data` is left out: components.Base"),
        ("untellable", "Untellable, which cannot be told: Base was raised by what it holds"),
        ("shapeless", "said (its `data` is left out: "),
        ("half", "said (its `data` is left out: "),
        ("base", "mine"),
        ("base_group", "mine"),
        ("cancelled", "mine"),
        ("generator_exit", "mine"),
        ("exit", "mine"),
        ("exit_code", "the component called `sys.exit(3)`"),
        ("exit_0", "the component called `sys.exit(0)`"),
        ("exit_without", "the component called `sys.exit()`"),
        ("exit_object", "the component called `sys.exit(…)`"),
        ("wrong", "ComponentError(code='seven'): the code is a whole number"),
    ],
)
def test_every_raised_exception_gives_one_answer(
    worker: "Worker", component: str, raised: str, message: str
) -> None:
    error = worker.execute(component, raised)["error"]
    assert error["code"] == -32003
    assert error["message"].startswith(message)


def test_sys_exit_in_a_task_of_a_component_stops_no_other_component(worker: "Worker") -> None:
    for _ in range(2):
        error = worker.execute("/exits_in_a_task", "awaited")["error"]
        assert error["message"] == "the component called `sys.exit(3)`"
        assert worker.output("/exits_in_a_task", "left") == "went on"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"message": 1}, "the message is a text"),
        ({"code": "7"}, "the code is a whole number"),
        ({"code": True}, "the code is a whole number"),
        ({"retryable": 0}, "write True or False"),
        ({"retry_after": float("nan")}, "a number of seconds from 0"),
        ({"retry_after": float("inf")}, "a number of seconds from 0"),
        ({"retry_after": -1}, "a number of seconds from 0"),
        ({"retry_after": "2s"}, "a number of seconds from 0"),
    ],
)
def test_an_error_that_the_server_could_not_read_is_refused(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        ComponentError(**{"message": "x", **arguments})
