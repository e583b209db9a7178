"""When there is no thread for it, an execute over HTTP is answered as over stdio."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from over_http.conftest import Serve

SOURCE = """
from stepflow.worker._executing import threads
threads.MOST = 4

@server.component
def waits_for_a_run(input, context: StepflowContext):
    return context.sync.evaluate_flow_by_id("f" * 64, input)
"""


WAITING = """
from stepflow.worker._executing import executor
executor.MOST_WAITING = 10_000

@server.component
def asks(input: str, context: StepflowContext) -> str:
    return context.sync.get_blob(input)
"""


def test_waiting_inputs_do_not_exceed_their_memory_limit(serve: "Serve") -> None:
    worker = serve(WAITING, "--max-concurrency", "1")
    streams = [worker.begin("/asks", "x" * 3_000, id=n) for n in range(6)]
    for refused in streams[4:]:
        error = refused.message()["error"]
        assert error["data"]["code"] == 503 and "wait for their turn already" in error["message"]
    for stream in streams[:4]:
        worker.give_blob(stream.message(), "done")
        assert stream.message()["result"] == {"output": "done"}


def test_executes_that_wait_for_runs_do_not_exceed_the_limit_of_threads(serve: "Serve") -> None:
    worker = serve(SOURCE)
    messages = [worker.begin("/waits_for_a_run", id=n).message() for n in range(6)]
    assert [each.get("method") for each in messages] == ["runs/submit"] * 4 + [None] * 2
    for refused in messages[4:]:
        assert refused["error"]["code"] == -32003
        assert refused["error"]["data"]["code"] == 503
        assert "all 4 of its threads are taken" in refused["error"]["message"]
