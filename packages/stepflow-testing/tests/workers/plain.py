"""A worker that uses only the standard library and keeps every rule. Its parts are small, to be broken one by one."""

import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ClassVar, TypeAlias

Json: TypeAlias = Any
Say: TypeAlias = Callable[[Json], None]

ASKING = ("/conformance/blob", "/conformance/sub_flow", "/conformance/whoami")
"""The components that may ask the server, and so need a stream over HTTP."""


def set_at_sigterm(over: threading.Event) -> None:
    """Set an event once the signal comes. Call it before other threads begin."""
    # A handler would have to wait for the main thread, which waits itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        over.set()

    threading.Thread(target=wait, daemon=True).start()


class Refused(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str, data: Json = None, id: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.id = id

    def answer(self, id: Json) -> Json:
        error = {"code": self.code, "message": str(self), "data": self.data}
        return {"jsonrpc": "2.0", "id": id, "error": error}


class Execution:
    """One open execute."""

    def __init__(self, id: Json, params: Json, say: Say) -> None:
        self.id = id
        self.params = params
        self.say = say
        self.why: int | None = None
        """The error code with which it was ended from outside."""
        self.ended = threading.Event()
        self.calls: list[SimpleQueue[Json]] = []
        self.unanswered: dict[Json, Json] = {}
        """Its requests without an answer, by id."""

    def end(self, code: int) -> None:
        self.why = self.why or code
        self.ended.set()
        for call in self.calls:
            call.put(Refused(code, "ended"))

    def names(self, task_id: str, attempt: int) -> bool:
        mine = (self.params.get("task_id"), self.params["attempt"])
        return mine == (task_id, attempt)


class Plain:
    """The protocol for one connection. `hear` takes a message, and a function `say` that sends its answer."""

    capabilities: ClassVar[Json] = {"max_concurrency": 3, "cancel": True, "version": "1"}

    def __init__(self) -> None:
        self.draining = False
        self.negotiates = False
        self.resumes = False
        self.executions: list[Execution] = []
        self.running = 0
        self.turn = threading.Condition()
        self.calls: dict[Json, SimpleQueue[Json]] = {}
        self.kept: list[tuple[Execution, Json]] = []
        """Answers that are kept for repeated executes."""

    # Messages

    def hear(self, text: bytes, say: Say) -> None:
        id = None
        try:
            message = self.read(text)
            id = message.get("id")
            if message.get("method") is None:
                self.answered(message)
            elif id is None:
                self.notified(message["method"], self.params_of(message), say)
            else:
                self.asked(id, message["method"], self.params_of(message), say)
        except Refused as refused:
            say(refused.answer(refused.id if id is None else id))

    def read(self, text: bytes) -> Json:
        try:
            message = json.loads(text.decode())
        except RecursionError:
            raise Refused(-32600, "too deep") from None
        except ValueError as error:
            raise Refused(-32700, str(error)) from None
        if not isinstance(message, dict):
            raise Refused(-32600, "not an object")
        id = message.get("id")
        if id is not None and type(id) not in (str, int):
            raise Refused(-32600, "the id is neither a string nor an integer")
        self.check(message, id)
        return message

    def check(self, message: Json, id: Json) -> None:
        is_answer = "result" in message or "error" in message
        if is_answer == ("method" in message):
            raise Refused(-32600, "neither a request nor an answer", id=id)
        if not isinstance(message.get("method", ""), str):
            raise Refused(-32600, "`method` is not a string", id=id)

    def params_of(self, message: Json) -> Json:
        params = message.get("params")
        if params is not None and not isinstance(params, dict):
            raise Refused(-32602, "`params` is not an object")
        return params or {}

    def answered(self, message: Json) -> None:
        call = self.calls.pop(message.get("id"), None)
        if call is not None:
            call.put(message)

    def notified(self, method: str, params: Json, say: Say) -> None:
        if method == "components/cancel":
            self.cancel(params)

    def asked(self, id: Json, method: str, params: Json, say: Say) -> None:
        if method == "components/execute":
            return self.execute(id, params, say)
        handlers = {
            "initialize": self.initialize,
            "components/list": self.list,
            "components/info": self.info,
            "components/infer_schema": self.infer_schema,
        }
        if method not in handlers:
            raise Refused(-32601, f"no method `{method}`")
        say({"jsonrpc": "2.0", "id": id, "result": handlers[method](params)})
        return None

    # What the server asks

    def initialize(self, params: Json) -> Json:
        capabilities = params.get("capabilities")
        self.negotiates = capabilities is not None
        self.resumes = bool(capabilities and capabilities.get("resume"))
        return {"server_protocol_version": 1, "capabilities": self.capabilities}

    def list(self, params: Json) -> Json:
        return {"components": [self.describe(path) for path in COMPONENTS]}

    def describe(self, path: str) -> Json:
        return {"component": path, "description": None, "input_schema": {}}

    def info(self, params: Json) -> Json:
        path = wanted(params, "component", str)
        if path not in COMPONENTS:
            raise Refused(-32001, f"no component `{path}`")
        return {"info": self.describe(path)}

    def infer_schema(self, params: Json) -> Json:
        return {}

    def cancel(self, params: Json) -> None:
        for execution in list(self.executions):
            if execution.names(params["task_id"], params["attempt"]):
                self.stop(execution)

    def stop(self, execution: Execution) -> None:
        execution.end(-32005)
        with self.turn:
            self.turn.notify_all()

    # Executes

    def execute(self, id: Json, params: Json, say: Say) -> None:
        wanted(params, "attempt", int)
        path = wanted(params, "component", str)
        if path not in COMPONENTS:
            raise Refused(-32001, f"no component `{path}`", id=id)
        if any(execution.id == id for execution in self.executions):
            raise Refused(-32600, "this id is open", id=id)
        if self.resumes and self.repeats(id, params, say):
            return
        if self.draining:
            raise Refused(-32006 if self.negotiates else -32000, "shutting down", id=id)
        execution = Execution(id, params, say)
        self.executions.append(execution)
        threading.Thread(target=self.work, args=(execution,), daemon=True).start()

    def repeats(self, id: Json, params: Json, say: Say) -> bool:
        task = (params.get("task_id"), params["attempt"])
        for execution, answer in self.kept:
            if execution.names(*task):
                say({**answer, "id": id})
                return True
        for execution in self.executions:
            if execution.names(*task):
                execution.id, execution.say = id, say
                for request in execution.unanswered.values():
                    say(request)
                return True
        return False

    def work(self, execution: Execution) -> None:
        with self.turn:
            self.turn.wait_for(lambda: execution.why or self.running < self.limit())
            self.running += 1
        answer = self.outcome(execution)
        with self.turn:
            self.running -= 1
            self.turn.notify_all()
        if self.resumes:
            self.kept.append((execution, answer))
        execution.say(answer)
        # Only after the answer: the process ends when the last execute is removed.
        self.executions.remove(execution)

    def limit(self) -> int:
        most: int = self.capabilities["max_concurrency"]
        return most

    def outcome(self, execution: Execution) -> Json:
        timer = self.timer(execution)
        try:
            output = self.call(execution)
            json.dumps(output, allow_nan=False)
        except Refused as refused:
            return Refused(execution.why or refused.code, str(refused), refused.data).answer(
                execution.id
            )
        except (TypeError, ValueError, KeyError) as error:
            code = execution.why or -32003
            return Refused(code, str(error), {"type": type(error).__name__}).answer(execution.id)
        finally:
            timer.cancel()
        return {"jsonrpc": "2.0", "id": execution.id, "result": {"output": output}}

    def timer(self, execution: Execution) -> threading.Timer:
        left = execution.params.get("deadline_ms") or 86_400_000
        timer = threading.Timer(left / 1000, execution.end, (-32004,))
        timer.daemon = True
        timer.start()
        return timer

    def call(self, execution: Execution) -> Json:
        if execution.why:
            raise Refused(execution.why, "cancelled before its turn")
        component = COMPONENTS[execution.params["component"]]
        return component(self, execution, execution.params["input"])

    def ask(self, execution: Execution, method: str, params: Json) -> Json:
        id, call = self.new_id(), SimpleQueue[Json]()
        self.calls[id] = call
        execution.calls.append(call)
        request = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
        execution.unanswered[id] = request
        execution.say(request)
        answer = call.get()
        del execution.unanswered[id]
        if isinstance(answer, Refused):
            raise answer
        if answer.get("error"):
            raise Refused(-32003, answer["error"]["message"], {"type": "Refused"})
        return answer["result"]

    def new_id(self) -> Json:
        return str(uuid.uuid4())

    def task(self, execution: Execution) -> Json:
        return {"task_id": execution.params.get("task_id"), "attempt": execution.params["attempt"]}


# Components


def echo(worker: Plain, execution: Execution, input: Json) -> Json:
    return input


def double(worker: Plain, execution: Execution, input: Json) -> Json:
    if not isinstance(input["n"], int):
        raise Refused(-32002, "`$.n` is not an integer", {"path": "$.n"})
    return {"n": 2 * input["n"]}


def fail(worker: Plain, execution: Execution, input: Json) -> Json:
    raise ValueError(input)


def bad_output(worker: Plain, execution: Execution, input: Json) -> Json:
    return object()


def sleep(worker: Plain, execution: Execution, input: Json) -> Json:
    if execution.ended.wait(input["seconds"]):
        raise Refused(execution.why or -32005, "ended")
    return input


def whoami(worker: Plain, execution: Execution, input: Json) -> Json:
    return worker.task(execution)


def blob(worker: Plain, execution: Execution, input: Json) -> Json:
    task = worker.task(execution)
    put = worker.ask(execution, "blobs/put", {"data": input, "blob_type": "data", **task})
    got = worker.ask(execution, "blobs/get", {"blob_id": put["blob_id"], **task})
    return {"blob_id": put["blob_id"], "data": got["data"]}


def sub_flow(worker: Plain, execution: Execution, input: Json) -> Json:
    run = {"flowId": input["flow_id"], "inputs": [input["input"]], "wait": True}
    run |= {"taskId": execution.params.get("task_id"), "attempt": execution.params["attempt"]}
    (ended,) = worker.ask(execution, "runs/submit", run)["results"]
    if ended["result"]["outcome"] != "success":
        raise ValueError(ended["result"]["error"]["message"])
    return ended["result"]["result"]


def noise(worker: Plain, execution: Execution, input: Json) -> Json:
    print(input, flush=True)
    child = "import sys; print(sys.argv[1]); sys.stdin.read()"
    subprocess.run([sys.executable, "-c", child, input], check=True)
    return input


Component: TypeAlias = Callable[[Plain, Execution, Json], Json]
_ALL = (echo, double, fail, bad_output, sleep, whoami, blob, sub_flow, noise)
COMPONENTS: dict[str, Component] = {f"/conformance/{each.__name__}": each for each in _ALL}


def wanted(params: Json, name: str, kind: type) -> Json:
    """Return a member of params, which is required."""
    value = params.get(name)
    if type(value) is not kind:
        raise Refused(-32602, f"`{name}` is missing or of another type")
    return value


def written(message: Json) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
