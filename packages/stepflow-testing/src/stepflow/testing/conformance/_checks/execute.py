"""Execute: the input and output of components, and how many run at once."""

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import brief, ensure, equal, error, output, result
from stepflow.testing.conformance._held import fill, hold
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Worker

VALUES = {
    "z": [2**63 - 1, -(2**63), 0, 1, 1.0, -0.5, 1e300],
    "a": {"é\u2028\u0000": '🦀\r\n\t"\\/', "": [], "nested": {"b": {}, "a": [None, True, False]}},
    "m": "x" * 10_000,
}


@rule("execute.output")
def output_(worker: Worker) -> None:
    """The answer is `{output}`."""
    probe = worker.succeeding
    found = output(worker.execute(probe.path, probe.input))
    if probe.path == "/conformance/echo":
        equal(found, probe.input, "the output")


@rule("execute.notFound")
def not_found(worker: Worker) -> None:
    """An unknown path is refused -32001."""
    error(worker.execute("/no/such/component", {}), ErrorCode.COMPONENT_NOT_FOUND)


@rule("execute.invalidInput")
def invalid_input(worker: Worker) -> None:
    """Input that does not fit is refused -32002, with `data.path`."""
    found = error(worker.execute(worker.probe("double"), {"n": "x"}), ErrorCode.INVALID_INPUT)
    details = found.get("data")
    path = details.get("path") if isinstance(details, dict) else None
    ensure(isinstance(path, str) and "n" in path, f"`data.path` is {brief(path)}, not `$.n`")
    equal(output(worker.execute(worker.probe("double"), {"n": 21})), {"n": 42}, "the output")


@rule("execute.failed")
def failed(worker: Worker) -> None:
    """A failed component is answered -32003 with its message and `data.type`; the worker goes on."""
    found = error(worker.execute(worker.probe("fail"), "boom ä"), ErrorCode.COMPONENT_FAILED)
    ensure("boom ä" in found["message"], f"the message is {brief(found['message'])}")
    details = found.get("data")
    kind = details.get("type") if isinstance(details, dict) else None
    ensure(isinstance(kind, str), f"`data.type` is {brief(kind)}")
    result(worker.request(Method.components_list))


@rule("execute.badOutput")
def bad_output(worker: Worker) -> None:
    """A component whose output has no JSON form has failed."""
    error(worker.execute(worker.probe("bad_output"), {}), ErrorCode.COMPONENT_FAILED)


@rule("execute.attempt")
def attempt(worker: Worker) -> None:
    """`attempt` and `task_id` reach the component."""
    found = output(worker.execute(worker.probe("whoami"), {}, attempt=3, task_id="task-of-three"))
    ensure(isinstance(found, dict), f"the output is {brief(found)}")
    equal(found.get("attempt"), 3, "the attempt that the component saw")
    equal(found.get("task_id"), "task-of-three", "the task that the component saw")


@rule("execute.bareParams")
def bare_params(worker: Worker) -> None:
    """`task_id`, `deadline_ms` and all of `observability` may be absent."""
    probe = worker.succeeding
    output(worker.execute(probe.path, probe.input, observability={}))


@rule("execute.values")
def values(worker: Worker) -> None:
    """Input and output are not changed: numbers, characters, the order of members."""
    equal(output(worker.execute(worker.probe("echo"), VALUES)), VALUES, "the output")


@rule("execute.concurrent")
def concurrent(worker: Worker) -> None:
    """A component that waits delays no other component, and no other method."""
    held = hold(worker)
    result(worker.request(Method.components_list))
    equal(output(worker.execute(worker.probe("echo"), 1)), 1, "the output")
    held.finish()


@rule("execute.queues")
def queues(worker: Worker) -> None:
    """A worker queues the executes above its `max_concurrency`."""
    held = fill(worker)
    waiting = [worker.begin_execute(worker.probe("echo"), number) for number in range(3)]
    for each in held:
        each.finish()
    for number, id in enumerate(waiting):
        equal(output(worker.answer(id)), number, "the output of what had to wait")


@rule("execute.deadline")
def deadline(worker: Worker) -> None:
    """When `deadline_ms` is over, the component is ended and answered -32004."""
    answer = worker.execute(worker.probe("sleep"), {"seconds": 600}, deadline_ms=200)
    error(answer, ErrorCode.TIMEOUT)
