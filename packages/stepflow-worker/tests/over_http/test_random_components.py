"""A worker with random components, over both transports: each execute is answered once, and nothing is left of any.

`STEPFLOW_COMPONENTS_SEED` repeats a search, `STEPFLOW_COMPONENTS_CASES` makes it longer.
"""

import os
import queue
import random
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    from conftest import Start
    from over_http.conftest import Serve

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Json: TypeAlias = Any

SEED = int(os.environ.get("STEPFLOW_COMPONENTS_SEED") or random.randrange(10**9))
CASES = int(os.environ.get("STEPFLOW_COMPONENTS_CASES", "3000"))
AT_ONCE = 16
PATIENCE = 30.0

COMPONENTS = [
    "/plain",
    "/plain_limited",
    "/awaited",
    "/awaited_limited",
    "/inline",
    "/inline_async",
]
STEPS = [
    "set", "sleep", "ask", "run", "fork", "terminate", "leave", "exit in a task", "stop", "fork and return",
    "fork and raise",
]  # fmt: skip
ENDS = [
    "return", "no JSON", "a coroutine", "ValueError", "ComponentError", "KeyError", "StopIteration",
    "StopAsyncIteration", "MemoryError", "RecursionError", "Untold", "Base", "SystemExit", "KeyboardInterrupt",
    "GeneratorExit", "CancelledError", "group", "base group", "Nameless", "own cancel", "cancel by a child",
]  # fmt: skip

SOURCE = """
import builtins, contextvars, gc, multiprocessing, warnings
from stepflow.worker import ComponentError
from stepflow.worker._calls import PendingCalls
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.executor import Executor

warnings.simplefilter("ignore")  # of forking beside threads, and of a coroutine that nobody awaits
mine = contextvars.ContextVar("mine", default="fresh")
fork = multiprocessing.get_context("fork").Process
left_behind = set()

class Untold(Exception):
    def __str__(self):
        raise ValueError("no words")

class Base(BaseException):
    pass

class Refuses(type):
    def __getattribute__(cls, name):
        if name in ("__qualname__", "__module__", "__name__"):
            raise RuntimeError("no name")
        return super().__getattribute__(name)

class Nameless(Exception, metaclass=Refuses):
    pass

class InTheChild(BaseException):
    pass

ERRORS = {  # made anew each time: an exception keeps the frames that it came through
    "ComponentError": lambda: ComponentError("x", code=7, data={"a": 1}),
    "Untold": Untold,
    "Base": Base,
    "Nameless": Nameless,
    "CancelledError": asyncio.CancelledError,
    "group": lambda: ExceptionGroup("g", [ValueError("x"), Untold()]),
    "base group": lambda: BaseExceptionGroup("g", [SystemExit(1), Base()]),
}

async def nothing():
    pass

def end(name):
    if name == "return":
        return mine.get()
    if name == "no JSON":
        return object()
    if name == "a coroutine":
        return nothing()
    raise (ERRORS.get(name) or getattr(builtins, name, asyncio.CancelledError))()

def child(target, *given):
    process = fork(target=target, args=given, daemon=True)
    process.start()
    try:
        if target is time.sleep:
            process.terminate()
        process.join(20)
    finally:
        process.kill()
        process.join()

def common(step):
    if step == "set":
        assert mine.get() in ("fresh", "set")
        mine.set("set")
    elif step == "sleep":
        time.sleep(0.005)
    elif step == "fork":
        child(os._exit, 3)
    elif step == "terminate":
        child(time.sleep, 600)
    elif step == "fork and return":
        return returns_in_child(0)
    elif step == "fork and raise":
        return returns_in_child(1)
    return False

def returns_in_child(code):
    # Whether this is the child, which is to end its component: by an exception when the code is 1.
    if pid := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # for its traceback
    if code:
        raise InTheChild
    return True

def plain(steps, context):
    assert mine.get() == "fresh"
    for step in steps[:-1]:
        if common(step):
            return "the child"
        if step == "ask":
            context.sync.put_blob(1)
        elif step == "run":
            context.sync.evaluate_flow_by_id("f" * 64, 1)
        elif step == "leave":
            threading.Thread(target=asks_later, args=(context,), daemon=True).start()
    return end(steps[-1])

def asks_later(context):
    time.sleep(0.01)
    try:
        context.sync.evaluate_flow_by_id("f" * 64, 1)
    except BaseException:
        pass

async def awaited(steps, context):
    assert mine.get() == "fresh"
    for step in steps[:-1]:
        if common(step):
            return "the child"
        if step == "ask":
            await context.put_blob(1)
        elif step == "run":
            await context.evaluate_flow_by_id("f" * 64, 1)
        elif step == "leave":
            leave(asks_later_async(context))
        elif step == "exit in a task":
            await leave(exits())
        elif step == "stop":
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)
    if steps[-1] == "own cancel":
        asyncio.current_task().cancel()
        await asyncio.sleep(20)
    elif steps[-1] == "cancel by a child":
        await leave(cancels(asyncio.current_task()))
        await asyncio.sleep(20)
    return end(steps[-1])

async def cancels(task):
    task.cancel()

def leave(coroutine):
    task = asyncio.ensure_future(coroutine)
    left_behind.add(task)
    task.add_done_callback(left_behind.discard)
    return task

async def asks_later_async(context):
    try:
        await asyncio.sleep(0.01)
        await context.evaluate_flow_by_id("f" * 64, 1)
    except BaseException:
        pass

async def exits():
    raise SystemExit(1)

@server.component(name="plain", timeout="20s")
def _(input: list[str], context: StepflowContext): return plain(input, context)
@server.component(name="plain_limited", max_concurrency=2)
def _(input: list[str], context: StepflowContext): return plain(input, context)
@server.component(name="awaited", timeout="20s")
async def _(input: list[str], context: StepflowContext): return await awaited(input, context)
@server.component(name="awaited_limited", max_concurrency=2)
async def _(input: list[str], context: StepflowContext): return await awaited(input, context)
@server.component(name="inline", inline=True)
def _(input: list[str], context: StepflowContext): return plain(input, context)
@server.component(name="inline_async", inline=True)
async def _(input: list[str], context: StepflowContext): return await awaited(input, context)

def children_of(task):
    try:
        with open(f"{task}/children") as children:
            return children.read().split()
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
        return []

@server.component(inline=True)
def left(input):
    multiprocessing.active_children()  # which takes leave of those that have ended
    gc.collect()
    everything = gc.get_objects()
    [executor] = [each for each in everything if type(each) is Executor]
    pid = os.getpid()
    children = [children_of(f"/proc/{pid}/task/{each}") for each in os.listdir(f"/proc/{pid}/task")]
    return {
        "variable": mine.get(),
        "executions": sum(isinstance(each, Execution) for each in everything),
        "open": len(executor._open),
        "places": [executor._running, len(executor._queue), executor._waiting, len(executor._own_limits)],
        "requests": sum(len(each._pending) for each in everything if type(each) is PendingCalls),
        "tasks": len(asyncio.all_tasks(executor._loop._loop)),
        "left behind": len(left_behind),
        "threads": sorted(each.name for each in threading.enumerate() if "-component-" not in each.name),
        "more threads than are kept": sum("-component-" in each.name for each in threading.enumerate()) > 32,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "children": sum(children, []),
    }
"""


@dataclass
class Case:
    """One execute, and how the server behaves during it."""

    number: int
    component: str
    steps: list[str]
    deadline_ms: int | None
    cancelled: str
    """When: `never`, `at once`, or `when it asks`."""
    replies: "random.Random" = field(repr=False)

    @property
    def task(self) -> str:
        return f"01a201db-08a0-7403-9639-{self.number:012}"

    @property
    def may_be_ended(self) -> bool:
        return self.deadline_ms is not None or self.cancelled != "never"

    def reply(self, request: Json) -> Json | None:
        """Return the answer to one of its requests; None when something else will end the request."""
        if self.may_be_ended and (self.cancelled == "when it asks" or self.replies.random() < 0.3):
            return None
        id = request["id"]
        if self.replies.random() < 0.2:
            return {"id": id, "error": {"code": -32000, "message": "no"}}
        blob = request["method"] == "blobs/put"
        return {"id": id, "result": {"blob_id": "b" * 64} if blob else ended_run()}

    def check(self, answer: Json) -> None:
        assert ("result" in answer) != ("error" in answer), (self, answer)
        if "result" in answer:
            assert self.steps[-1] == "return", (self, answer)
            seen = "set" if "set" in self.steps else "fresh"
            assert answer["result"] == {"output": seen}, (self, answer)
        else:
            ended = {-32004, -32005} if self.may_be_ended else set()
            assert answer["error"]["code"] in {-32003, *ended}, (self, answer)


def ended_run() -> Json:
    result = {"outcome": "success", "result": 1}
    return {
        "runId": "01a201db-08a0-7403-9639-442082c5705f",
        "flowId": "f" * 64,
        "status": "completed",
        "items": {"total": 1, "completed": 1, "running": 0, "failed": 0, "cancelled": 0},
        "createdAt": "2026-01-01T00:00:00Z",
        "results": [{"itemIndex": 0, "status": "completed", "result": result}],
    }


def cases(seed: int, count: int, first: int = 0) -> "Iterator[Case]":
    dice = random.Random(seed)
    for number in range(first, first + count):
        steps = dice.choices(STEPS, weights=[4, 4, 4, 4, 1, 1, 2, 1, 1, 1, 1], k=dice.randrange(4))
        ended = dice.random()
        yield Case(
            number,
            dice.choice(COMPONENTS),
            [*steps, dice.choice(["return"] * 8 + ENDS)],
            dice.randrange(1, 60) if ended < 0.15 else None,
            "at once"
            if 0.15 < ended < 0.25
            else "when it asks"
            if 0.25 < ended < 0.35
            else "never",
            random.Random(dice.random()),
        )


Begin: TypeAlias = "Callable[[list[Case]], None]"


def nothing_is_left(run: Begin, left: "Callable[[], Json]") -> None:
    """Run the cases twice: after the second time, no more may be left than after the first time."""
    print(f"STEPFLOW_COMPONENTS_SEED={SEED}")
    warm = [
        Case(n, c, [s, "return"], None, "never", random.Random(n))
        for n, (c, s) in enumerate((c, s) for c in COMPONENTS for s in STEPS)
    ]
    run(warm)
    before = first_rest(left)
    run([*cases(SEED, CASES, first=len(warm))])
    now = settled(left, lambda now: now == before)
    assert now == before
    assert not now["more threads than are kept"]
    assert now["variable"] == "fresh" and now["children"] == [] and now["places"] == [1, 0, 0, 0]


def first_rest(left: "Callable[[], Json]") -> Json:
    """Return what is left once the cases have ended, and two checks find the same."""
    last: Json = None

    def is_at_rest(now: Json) -> bool:
        nonlocal last
        before, last = last, now
        own = all(each.startswith(("MainThread", "stepflow-")) for each in now["threads"])
        return before == now and own and now["executions"] == 1 and not now["left behind"]

    return settled(left, is_at_rest)


def settled(left: "Callable[[], Json]", wanted: "Callable[[Json], bool]") -> Json:
    patience = time.monotonic() + PATIENCE
    while not wanted(now := left()) and time.monotonic() < patience:
        time.sleep(0.05)  # the check itself slows the worker down
    return now


def test_over_stdio_each_execute_is_answered_once_and_nothing_is_left(start: "Start") -> None:
    worker = start(SOURCE)
    worker.request("initialize", {"runtime_protocol_version": 1, "capabilities": {}})
    answered = set[Json]()

    def begin(case: Case) -> int:
        more = {} if case.deadline_ms is None else {"deadline_ms": case.deadline_ms}
        id = worker.begin_execute(case.component, case.steps, task_id=case.task, **more)
        if case.cancelled == "at once":
            worker.cancel(task_id=case.task)
        return id

    def run(all_cases: list[Case]) -> None:
        waiting, by_id, by_task = all_cases[::-1], dict[Json, Case](), dict[str, Case]()
        while waiting or by_id:
            while waiting and len(by_id) < AT_ONCE:
                case = waiting.pop()
                by_task[case.task] = case
                by_id[begin(case)] = case
            try:
                message = worker.receive()
            except queue.Empty:
                pytest.fail(f"no answer comes to {list(by_id.values())}:\n{worker.stderr}")
            if "method" not in message:
                assert message["id"] not in answered, f"answered twice: {message}"
                answered.add(message["id"])
                by_id.pop(message["id"]).check(message)
                continue
            params = message["params"]
            case = by_task[params.get("task_id") or params["taskId"]]
            if (reply := case.reply(message)) is not None:
                worker.send(**reply)
            elif case.cancelled == "when it asks":
                worker.cancel(task_id=case.task)

    nothing_is_left(run, lambda: worker.output("/left"))
    worker.close_input()
    assert worker.wait() == 0
    with pytest.raises(AssertionError, match="ended instead of answering"):
        worker.receive()


def test_over_http_each_execute_is_answered_once_and_nothing_is_left(serve: "Serve") -> None:
    worker = serve(SOURCE)
    session = worker.session()
    session.initialize()

    def run_one(case: Case) -> None:
        more = {} if case.deadline_ms is None else {"deadline_ms": case.deadline_ms}
        stream = session.begin(case.component, case.steps, case.number, task=case.task, **more)
        cancel = {"task_id": case.task, "attempt": 1}
        if case.cancelled == "at once":
            session.notify("components/cancel", cancel)
        while "method" in (message := stream.message()):
            if (reply := case.reply(message)) is not None:
                assert session.send(reply).status == 202
            elif case.cancelled == "when it asks":
                session.notify("components/cancel", cancel)
        assert message["id"] == case.number
        case.check(message)
        assert stream.block() == b"", "nothing comes after the answer"
        stream.close()

    def run(all_cases: list[Case]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as clients:
            list(clients.map(run_one, all_cases))

    nothing_is_left(run, lambda: worker.output("/left"))
    worker.process.terminate()
    assert worker.wait() == 0
