"""Sessions: the event stream that keeps two servers of one worker apart."""

import contextlib
import re
import time
from collections.abc import Iterator

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import brief, ensure, equal, error, output
from stepflow.testing.conformance._failures import Broken, Inapplicable, Unreachable
from stepflow.testing.conformance._held import Held, hold
from stepflow.testing.conformance._http_worker import HttpWorker, Session, is_message, loaded
from stepflow.testing.conformance._rule import http_rule

_FIRST = re.compile(rb"(:[^\n]*\n\n?)*event: endpoint\r?\ndata: \{[^\n]*\}\r?\n\r?\n", re.DOTALL)


def _session(worker: HttpWorker) -> Session:
    if worker.session is None:
        raise Inapplicable("the worker has no sessions")
    return worker.session


@contextlib.contextmanager
def _another(worker: HttpWorker, *, resume: bool = False) -> Iterator[HttpWorker]:
    """Yield a second session after its handshake; its messages are added to the record of the first."""
    _session(worker)
    other = worker.another()
    try:
        other.handshake({"resume": True} if resume else {})
        yield other
    finally:
        worker.known.exchanges.extend(other.known.exchanges)
        other.end()


@http_rule("session.endpoint")
def endpoint(worker: HttpWorker) -> None:
    """A session's first event is `endpoint`, with the address for all messages."""
    session = _session(worker)
    ensure(bool(_FIRST.fullmatch(session.first_bytes)), f"it is {session.first_bytes[:200]!r}")
    ensure(
        bool(re.fullmatch(r"/\?sessionId=[^&]+", session.endpoint)),
        f"the endpoint is {brief(session.endpoint)}",
    )


@http_rule("session.apart")
def apart(worker: HttpWorker) -> None:
    """Sessions do not see each other, even when their ids are equal."""
    with _another(worker) as other:
        one = hold(worker, "one", id="same", task_id="same")
        two = hold(other, "two", id="same", task_id="same")
        # An answer in another session does not count.
        other.reply(one.put, {"blob_id": "f" * 64})
        two.finish()
        found = output(one.release())
        equal(found.get("blob_id"), "0" * 64, "the blob's id in the first session")
        equal(found.get("data"), "one", "the data in the first session")


@http_rule("session.unknown")
def unknown(worker: HttpWorker) -> None:
    """An unknown `sessionId` is answered 404 with a JSON-RPC error."""
    _session(worker)
    text = worker.text(id=1, method=Method.components_list, params={})
    worker.sent(text)
    response = worker.http.post("/?sessionId=no-such-session", text)
    body = response.body()
    worker.note(f"HTTP {response.status}: {body[:200]!r}")
    ensure(response.status == 404, f"the status is {response.status}")
    answer = loaded(body)
    ensure(is_message(answer) and "error" in answer, "the body is no JSON-RPC error")


@http_rule("session.closed")
def closed(worker: HttpWorker) -> None:
    """When a session's stream closes, its executes are cancelled and the session ends."""
    with _another(worker) as other:
        held = hold(other)
        _lose(other)
        _must_be_cancelled(held)
        text = other.text(id=1, method=Method.components_list, params={})
        deadline = time.monotonic() + other.known.patience
        while (status := _status_of(other, text)) != 404:
            ensure(time.monotonic() < deadline, f"the closed session still answers {status}")


def _must_be_cancelled(held: Held) -> None:
    try:
        answer = held.worker.answer(held.id)
    except Unreachable:
        return  # the execute's stream has ended with the session
    except Broken as silence:
        raise Broken(f"the execute of a closed session goes on: {silence}") from None
    error(answer, ErrorCode.CANCELLED)


def _status_of(worker: HttpWorker, text: bytes) -> int:
    response = worker.http.post(worker.target, text)
    response.body()
    return response.status


@http_rule("session.resume")
def resume(worker: HttpWorker) -> None:
    """A lost session can be resumed; its executes go on meanwhile."""
    with _resumable(worker) as other:
        held = hold(other)
        _lose(other)
        _resume(other)
        held.finish()


@http_rule("session.repeated")
def repeated(worker: HttpWorker) -> None:
    """An execute that is repeated in a resumed session does not run again."""
    with _resumable(worker) as other:
        first = hold(other, "repeated", task_id="repeated")
        _lose(other)
        other.drop_streams()
        other.note("the execute's stream was closed")
        _resume(other)
        again = hold(other, "repeated", task_id="repeated")
        equal(again.put.get("id"), first.put["id"], "the id of the component's request")
        answer = again.release()
        found = output(answer)
        kept = output(other.execute(other.probe("blob"), "repeated", task_id="repeated"))
        equal(kept, found, "the output that was kept")


@contextlib.contextmanager
def _resumable(worker: HttpWorker) -> Iterator[HttpWorker]:
    if worker.known.capabilities.get("resume") is not True:
        raise Inapplicable("the worker does not announce `resume`")
    with _another(worker, resume=True) as other:
        yield other


def _lose(worker: HttpWorker) -> None:
    _session(worker).close()
    worker.note("the session's stream was closed")


def _resume(worker: HttpWorker) -> None:
    place = _session(worker).endpoint.replace("/?", "/runtime/events?", 1)
    worker.session = Session.open(worker.http, place)
    ensure(worker.session is not None, "the session cannot be taken up again")
    worker.note("the session was taken up again")
