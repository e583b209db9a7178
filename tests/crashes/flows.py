"""What runs while the server crashes: a flow with a step of each kind, a batch, and a run that is cancelled."""

from typing import Any

COMPONENTS = """\
import os
import signal
import threading

from stepflow.worker import ComponentError, StepflowContext, StepflowServer

server = StepflowServer()
generation = os.environ["CRASH_GENERATION"]
dies_at = int(os.environ.get("CRASH_WORKER_AT") or 0)
kills_server = "CRASH_SERVER_TOO" in os.environ
writing = threading.Lock()

ONE = {
    "name": "one",
    "steps": [{"id": "add", "component": "/python/add", "input": {"$input": "$"}}],
    "output": {"$step": "add"},
}


def note(context: StepflowContext) -> None:
    line = f"{generation} {context.task_id} {context.attempt} {context.step_id}\\n"
    with writing, open("seen", "a+") as seen:
        seen.write(line)
        seen.flush()
        seen.seek(0)
        if len(seen.readlines()) == dies_at:
            if kills_server:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


@server.component
def add(input: int, context: StepflowContext) -> int:
    note(context)
    if input < 0:
        raise ComponentError("a number below zero")
    return input + 1


@server.component
def once(input: int, context: StepflowContext) -> int:
    note(context)
    if context.attempt == 1:
        raise ComponentError("the first attempt fails")
    return input


@server.component
def down(input: int, context: StepflowContext) -> dict[str, int]:
    note(context)
    return {"next": input - 1} if input > 0 else {"result": input}


@server.component
def long(input: int, context: StepflowContext) -> str:
    note(context)
    return "x" * input


@server.component
def size(input: str, context: StepflowContext) -> int:
    note(context)
    return len(input)


@server.component
async def waits(input: int, context: StepflowContext) -> list[int]:
    note(context)
    return await context.evaluate_run(ONE, [input, input + 1])


@server.component
async def asks(input: int, context: StepflowContext) -> str:
    note(context)
    begun = await context.submit_run(ONE, [input], key="mine")
    ended = await context.get_run(begun.run_id, wait=True)
    return str(ended.status.value)


@server.component
async def held(input: int, context: StepflowContext) -> int:
    note(context)
    await context.wait_cancelled()
    return input
"""


def _step(id: str, component: str, input: Any, **more: Any) -> dict[str, Any]:
    return {"id": id, "component": component, "input": input, **more}


def _result(step: str, path: str = "$") -> dict[str, str]:
    return {"$step": step, "path": path}


_INPUT = {"$input": "$"}

_ADD = {
    "name": "add",
    "steps": [_step("add", "/python/add", _INPUT)],
    "output": _result("add"),
}

_DOWN = {
    "name": "down",
    "steps": [_step("down", "/python/down", _INPUT)],
    "output": _result("down"),
}

QUICK_RETRY = {"action": "retry", "backoff": {"type": "constant", "delay": "20ms"}}

_USE_DEFAULT = {"action": "useDefault", "defaultValue": -1}

_STEPS = [
    _step("copy", "/builtin/noop", _INPUT),
    _step("text", "/builtin/template", {"template": "{{ n }} of", "values": {"n": _INPUT}}),
    _step("messages", "/builtin/create_messages", {"user_prompt": _result("text", "$.text")}),
    _step("put", "/builtin/put_blob", {"data": _result("messages")}),
    _step("get", "/builtin/get_blob", _result("put")),
    _step("first", "/python/add", _result("copy")),
    _step("second", "/python/add", _result("first")),
    _step("map", "/builtin/map", {"items": [1, 2, -3, 4], "workflow": {"$literal": _ADD}}),
    _step(
        "once",
        "/python/once",
        _result("second"),
        onError=QUICK_RETRY,
    ),
    _step("sleep", "/builtin/sleep", {"duration_ms": 100, "passthrough": _result("first")}),
    _step("awake", "/python/add", _result("sleep", "$.passthrough")),
    _step("waits", "/python/waits", _result("first")),
    _step("asks", "/python/asks", _result("first")),
    _step("flow", "/builtin/put_blob", {"data": {"$literal": _ADD}, "blob_type": "flow"}),
    _step("eval", "/builtin/eval", {"flow_id": _result("flow", "$.blob_id"), "input": 7}),
    _step("iterate", "/builtin/iterate", {"flow": {"$literal": _DOWN}, "initial_input": 3}),
    _step("default", "/python/add", -1, onError=_USE_DEFAULT),
    _step("long", "/python/long", 20_000),
    _step("size", "/python/size", _result("long")),
    _step("nowhere", "/nowhere/at/all", 1, onError=_USE_DEFAULT),
]

MAIN = {
    "name": "main",
    "steps": _STEPS,
    "output": {step["id"]: _result(step["id"]) for step in _STEPS if step["id"] != "long"},
}

BATCH = {
    "name": "batch",
    "steps": [
        _step("add", "/python/add", _INPUT),
        _step("copy", "/builtin/noop", _result("add")),
    ],
    "output": _result("copy"),
}

CANCELLED = {
    "name": "cancelled",
    "steps": [_step("add", "/python/add", _INPUT), _step("held", "/python/held", _result("add"))],
    "output": _result("held"),
}

RUNS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "main": (MAIN, [3]),
    "batch": (BATCH, [1, 2, -3, 4, 5]),
    "cancelled": (CANCELLED, [1]),
}
"""The runs that a client asks for: flows and the inputs of their items, by name."""
