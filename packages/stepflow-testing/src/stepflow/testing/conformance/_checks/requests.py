"""Requests of a worker: what its components send to the server while they run."""

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import brief, ensure, equal, error, is_int, output
from stepflow.testing.conformance._held import hold
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Id, Json, Worker, same

RUN = "01981f4e-6a53-7c60-8f3c-2b1f5c0c9a12"
FLOW = "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22"


def params(request: Json) -> dict[str, Json]:
    """Return the params of a worker's request. Raises `Broken` if they are not an object."""
    found = request.get("params")
    ensure(isinstance(found, dict), f"`params` is not an object: {brief(found)}")
    assert isinstance(found, dict)
    return found


@rule("requests.task")
def task(worker: Worker) -> None:
    """A request names its execute by `task_id` and `attempt`."""
    held = hold(worker, task_id="task-of-two", attempt=2)
    asked = params(held.put)
    held.finish()
    equal(asked.get("task_id"), "task-of-two", "`task_id` of the request")
    equal(asked.get("attempt"), 2, "`attempt` of the request")


@rule("requests.ids")
def ids(worker: Worker) -> None:
    """All open requests of a worker have different ids."""
    one, other = hold(worker, "one"), hold(worker, "other")
    for held in (one, other):
        id = held.put.get("id")
        ensure(isinstance(id, str) or is_int(id), f"an id is {brief(id)}")
    ensure(not same(one.put["id"], other.put["id"]), f"both ids are {brief(one.put['id'])}")
    # Only the data shows which of the two sent the request.
    one.finish()
    other.finish()


@rule("requests.blobs")
def blobs(worker: Worker) -> None:
    """`blobs/put` has `data` and `blob_type`; `blobs/get` has the id that the server answered."""
    held = hold(worker, {"kept": [1, 1.0]})
    asked = params(held.put)
    equal(asked.get("data"), {"kept": [1, 1.0]}, "`data`")
    equal(asked.get("blob_type"), "data", "`blob_type`")
    worker.reply(held.put, {"blob_id": FLOW})
    get = worker.called(Method.blobs_get, by=held.id)
    equal(params(get).get("blob_id"), FLOW, "`blob_id` of the request")
    worker.reply(get, {"data": ["given back"], "blob_type": "data"})
    found = output(worker.answer(held.id))
    equal(found, {"blob_id": FLOW, "data": ["given back"]}, "the output")


@rule("requests.anyOrder")
def any_order(worker: Worker) -> None:
    """The server may answer in any order, with other messages in between."""
    first, second = hold(worker, "first"), hold(worker, "second")
    second.finish()
    worker.request(Method.components_list)
    first.finish()


@rule("requests.refused")
def refused(worker: Worker) -> None:
    """If a component does not handle a refused request, it fails with -32003."""
    held = hold(worker)
    worker.refuse(held.put, "the disk is full")
    found = error(worker.answer(held.id), ErrorCode.COMPONENT_FAILED)
    ensure("the disk is full" in found["message"], f"the message is {brief(found['message'])}")


@rule("requests.runs")
def runs(worker: Worker) -> None:
    """`runs/submit` names a flow and its inputs; the result of the run reaches the component."""
    input = {"flow_id": FLOW, "input": {"a": 1}}
    id = worker.begin_execute(worker.probe("sub_flow"), input, task_id="parent")
    _serve_run(worker, id, {"outcome": "success", "result": ["done"]})
    equal(output(worker.answer(id)), ["done"], "the output")
    id = worker.begin_execute(worker.probe("sub_flow"), input, task_id="parent")
    failure = {"code": 500, "kind": "COMPONENT_FAILED", "message": "the sub-run failed"}
    _serve_run(worker, id, {"outcome": "failed", "error": failure})
    error(worker.answer(id), ErrorCode.COMPONENT_FAILED)


def _serve_run(worker: Worker, id: Id, result: Json) -> None:
    submit = worker.called(Method.runs_submit, by=id)
    asked = params(submit)
    equal(asked.get("flowId"), FLOW, "`flowId`")
    equal(asked.get("inputs"), [{"a": 1}], "`inputs`")
    equal(asked.get("taskId"), "parent", "`taskId`")
    equal(asked.get("attempt"), 1, "`attempt`")
    if asked.get("wait") is not True:
        worker.reply(submit, _status("running", None))
        submit = worker.called(Method.runs_get, by=id)
        equal(params(submit).get("runId"), RUN, "`runId`")
    outcome = "completed" if result["outcome"] == "success" else "failed"
    worker.reply(submit, _status(outcome, result))


def _status(status: str, result: Json) -> Json:
    counts = dict.fromkeys(("completed", "running", "failed", "cancelled"), 0) | {status: 1}
    run: Json = {"runId": RUN, "flowId": FLOW, "status": status, "items": {"total": 1, **counts}}
    run["createdAt"] = "2026-01-01T00:00:00Z"
    if result is not None:
        run["completedAt"] = "2026-01-01T00:00:01Z"
        run["results"] = [{"itemIndex": 0, "status": status, "result": result}]
    return run
