"""`GET /runtime/events`: what belongs to a session, how it ends, and how it is resumed."""

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from over_http.conftest import HttpWorker, Serve

TASK = "01a201db-08a0-7403-9639-000000000001"

SOURCE = """
import collections
runs = []

@server.component
async def get(input: str, context: StepflowContext):
    runs.append(input)
    return await context.get_blob(input)

@server.component
def get_sync(input: str, context: StepflowContext):
    return context.sync.get_blob(input)

@server.component
async def says_how_it_ended(input: str, context: StepflowContext):
    try:
        await context.get_blob(input)
    except asyncio.CancelledError:
        os.write(2, b"cancelled " + input.encode())
        ended[input].set()
        raise

@server.component
def session_id(input, context):
    return context.session_id

ended = collections.defaultdict(threading.Event)

@server.component
def waits_until_it_has_ended(input: str) -> bool:
    return ended[input].wait(20)

@server.component
def how_often(input: str) -> int:
    return runs.count(input)

@server.component
async def counts(input: str) -> int:
    runs.append(input)
    return runs.count(input)

@server.component
async def echo(input):
    return input
"""


@pytest.fixture
def worker(serve: "Serve") -> "HttpWorker":
    return serve(SOURCE)


def test_the_first_event_names_the_url_for_everything_else(worker: "HttpWorker") -> None:
    session = worker.session()
    assert re.fullmatch(r"/\?sessionId=[0-9a-f-]{36}", session.path)
    assert session.events is not None
    assert session.events.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert session.output("/echo", 1) == 1
    assert f"sessionId={session.begin('/session_id').message()['result']['output']}" in session.path


def test_capabilities_are_those_of_the_session(worker: "HttpWorker") -> None:
    capabilities = worker.session().initialize(resume=True)["capabilities"]
    assert (capabilities["cancel"], capabilities["resume"]) == (True, True)
    assert "resume" not in worker.initialize()["capabilities"]


def test_two_sessions_with_equal_ids_never_see_each_other(worker: "HttpWorker") -> None:
    sessions = [worker.session(), worker.session(), worker]
    streams = [each.begin("/get", str(n), id=1) for n, each in enumerate(sessions)]
    requests = [each.message() for each in streams]
    for session, request in zip(sessions, requests[1:] + requests[:1], strict=True):
        session.give_blob(request, "another's")  # accepted, and ignored
    for n, (session, stream) in enumerate(zip(sessions, streams, strict=True)):
        assert requests[n]["params"]["blob_id"] == str(n)
        session.give_blob(requests[n], f"for {n}")
        assert stream.message()["result"] == {"output": f"for {n}"}


def test_clients_without_session_may_use_equal_ids_and_answer_on_any_connection(
    worker: "HttpWorker",
) -> None:
    streams = [worker.client().begin("/get", name, id=7) for name in "ab"]
    for stream in streams:
        request = stream.message()
        worker.client().give_blob(request, request["params"]["blob_id"] * 2)
    assert [each.message()["result"]["output"] for each in streams] == ["aa", "bb"]


def test_the_same_id_twice_in_a_session_is_refused(worker: "HttpWorker") -> None:
    session = worker.session()
    first = session.begin("/get", "a", id=1)
    request = first.message()
    error = session.execute("/echo", 1, id=1)["error"]
    assert (error["code"], "open already" in error["message"]) == (-32600, True)
    session.give_blob(request, "still")
    assert first.message()["result"] == {"output": "still"}


@pytest.mark.parametrize("path", ["/?sessionId=nobody", "/?sessionId=%00&x=1"])
def test_an_unknown_session_is_404(worker: "HttpWorker", path: str) -> None:
    stranger = worker.client()
    stranger.path = path
    got = stranger.send({"id": 1, "method": "components/list", "params": {}})
    assert (got.status, got.json["error"]["code"]) == (404, -32600)
    assert "/runtime/events" in got.json["error"]["message"]
    events = stranger.get(path.replace("/?", "/runtime/events?"))
    assert (events.status, events.json["jsonrpc"]) == (404, "2.0")


def test_a_session_ends_with_its_stream_and_its_executes_with_it(worker: "HttpWorker") -> None:
    session = worker.session()
    stream = session.begin("/says_how_it_ended", "a")
    stream.message()
    assert session.events is not None
    session.events.close()
    error = stream.message()["error"]
    assert (error["code"], error["data"]["type"]) == (-32005, "asyncio.exceptions.CancelledError")
    assert session.send({"id": 1, "method": "components/list", "params": {}}).status == 404
    assert "cancelled a" in worker.stderr


def test_a_client_that_drops_an_execute_cancels_it(worker: "HttpWorker") -> None:
    stream = worker.begin("/says_how_it_ended", "b")
    stream.message()
    stream.close()
    assert worker.output("/waits_until_it_has_ended", "b") is True
    assert "cancelled b" in worker.stderr


def test_an_execute_is_cancelled_by_its_task(worker: "HttpWorker") -> None:
    session = worker.session()
    stream = session.begin("/get", "a", attempt=2, task="t")
    stream.message()
    session.notify("components/cancel", {"task_id": "t", "attempt": 1})
    session.notify("components/cancel", {"task_id": "t", "attempt": 2, "reason": "enough"})
    error = stream.message()["error"]
    assert (error["code"], "enough" in error["message"]) == (-32005, True)


def test_a_cancel_that_arrives_before_its_execute_counts(worker: "HttpWorker") -> None:
    session = worker.session()
    session.notify("components/cancel", {"task_id": TASK, "attempt": 2, "reason": "early"})
    error = session.begin("/get", "a", attempt=2).message()["error"]
    assert (error["code"], error["message"]) == (-32005, "the execute was cancelled: early")
    assert session.begin("/get", "a", id=2, attempt=1).message()["method"] == "blobs/get"


def test_a_resumed_session_is_the_same_one(worker: "HttpWorker") -> None:
    session = worker.session()
    session.initialize(resume=True)
    stream = session.begin("/get", "a")
    request = stream.message()
    assert session.events is not None
    session.events.close()
    again = worker.resumed(session)
    assert again.path == session.path
    again.give_blob(request, "after the gap")
    assert stream.message()["result"] == {"output": "after the gap"}


def test_a_second_stream_replaces_the_first(worker: "HttpWorker") -> None:
    session = worker.session()
    assert session.events is not None
    again = worker.resumed(session)
    assert session.events.block() == b""
    assert again.output("/echo", 1) == 1


@pytest.mark.parametrize("component", ["/get", "/get_sync"])
def test_a_repeated_execute_joins_the_one_that_runs(worker: "HttpWorker", component: str) -> None:
    session = worker.session()
    session.initialize(resume=True)
    first = session.begin(component, "a", id=1)
    request = first.message()
    first.close()
    second = session.begin(component, "a", id=2)
    assert second.message() == request, "what is unanswered is asked again"
    session.give_blob(request, "once")
    answer = second.message()
    assert (answer["id"], answer["result"]) == (2, {"output": "once"})
    assert second.block() == b""


def test_an_answer_during_a_lost_session_is_kept_for_a_repeated_execute(
    worker: "HttpWorker",
) -> None:
    session = worker.session()
    session.initialize(resume=True)
    stream = session.begin("/get", "gap")
    request = stream.message()
    stream.close()
    assert session.events is not None
    session.events.close()
    session.give_blob(request, "kept")
    again = worker.resumed(session)
    assert again.begin("/get", "gap").message()["result"] == {"output": "kept"}
    assert again.begin("/get", "gap").message()["result"] == {"output": "kept"}
    assert worker.output("/how_often", "gap") == 1


def test_an_answer_without_a_context_is_kept_as_well(worker: "HttpWorker") -> None:
    session = worker.session()
    session.initialize(resume=True)
    assert session.execute("/counts", "plain", id=1)["result"] == {"output": 1}
    repeated = session.execute("/counts", "plain", id=2)
    assert (repeated["id"], repeated["result"]) == (2, {"output": 1})


def test_a_refusal_is_not_kept(worker: "HttpWorker") -> None:
    session = worker.session()
    session.initialize(resume=True)
    assert session.execute("/nowhere", id=1)["error"]["code"] == -32001
    assert session.execute("/echo", "now it runs", id=2)["result"] == {"output": "now it runs"}


def test_a_repeated_execute_is_taken_from_its_old_connection(worker: "HttpWorker") -> None:
    session = worker.session()
    session.initialize(resume=True)
    first = session.begin("/get", "a", id=1)
    request = first.message()
    second = session.begin("/get", "a", id=1)
    assert second.message() == request
    session.give_blob(request, "to the newest")
    assert second.message()["result"] == {"output": "to the newest"}
    assert first.cut_off()


def test_a_lost_client_is_waited_for_only_until_the_limit(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"resume_seconds": 0.2})
    session = worker.session()
    session.initialize(resume=True)
    stream = session.begin("/says_how_it_ended", "a")
    stream.message()
    stream.close()
    assert worker.output("/waits_until_it_has_ended", "a") is True
    other = worker.session()
    other.initialize(resume=True)
    left = other.begin("/get", "b")
    left.message()
    assert other.events is not None
    other.events.close()
    assert left.message()["error"]["code"] == -32005
    assert other.get(other.path.replace("/?", "/runtime/events?")).status == 404


def test_silent_streams_get_comments_for_servers_that_know_them(serve: "Serve") -> None:
    worker = serve(SOURCE, limits={"keep_alive_seconds": 0.05})
    legacy = worker.begin("/get", "a")
    request = legacy.message()
    session = worker.session()
    session.initialize()
    stream = session.begin("/get", "a")
    stream.message()
    assert [stream.block() for _ in range(3)] == [b": keep-alive\n\n"] * 3
    assert session.events is not None
    assert session.events.block() == b": keep-alive\n\n"
    worker.give_blob(request, "no comment")
    assert legacy.block().startswith(b"data: ")
