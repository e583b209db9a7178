"""Over HTTP: statuses, media types, and the streams of executes."""

import json
import re
import time
from collections.abc import Iterator

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import brief, ensure, equal, error, output, result
from stepflow.testing.conformance._failures import Broken, Inapplicable
from stepflow.testing.conformance._held import hold
from stepflow.testing.conformance._http import BOTH, EVENTS, JSON, Response
from stepflow.testing.conformance._http_worker import HttpWorker, is_message, loaded
from stepflow.testing.conformance._rule import http_rule
from stepflow.testing.conformance._worker import Json

_EVENT = re.compile(rb"data: [^\n]+|:[^\n]*")


def _list(worker: HttpWorker, id: int = 1) -> bytes:
    return worker.text(id=id, method=Method.components_list, params={})


def _post(
    worker: HttpWorker,
    message: bytes,
    *,
    accept: str | None = BOTH,
    content_type: str | None = JSON,
) -> tuple[int, Response, bytes]:
    """Send one message with POST. Returns the status, the answer and its body."""
    worker.sent(message)
    response = worker.http.post(worker.target, message, accept=accept, content_type=content_type)
    body = response.body()
    worker.note(f"HTTP {response.status} {response.media_type}: {body[:200]!r}")
    return response.status, response, body


def _blob_execute(worker: HttpWorker, id: int, input: Json) -> bytes:
    params = worker.execute_params(worker.probe("blob"), input, task_id=f"task-{input}")
    return worker.text(id=id, method=Method.components_execute, params=params)


def _stream(worker: HttpWorker, id: int, input: Json) -> tuple[Response, Iterator[Json]]:
    """Begin an execute that stores a blob. Returns the response and the messages on its stream."""
    text = _blob_execute(worker, id, input)
    worker.sent(text)
    response = worker.http.post(worker.target, text)
    if (response.status, response.media_type) != (200, EVENTS):
        response.close()
        raise Broken(f"it is answered {response.status}, `{response.media_type}`")
    return response, (_read(worker, message) for _, message in response.events())


def _read(worker: HttpWorker, text: bytes) -> Json:
    worker.note(f"event: {text[:200]!r}")
    message = loaded(text)
    ensure(is_message(message), f"an event is not a message: {text[:200]!r}")
    return message


def _next(messages: Iterator[Json], method: str | None) -> Json:
    """Return the stream's next message, which must be this request, or the answer for `None`."""
    message = next(messages, None)
    ensure(message is not None, "the stream ends too early")
    assert message is not None
    found = message.get("method")
    ensure(found == method, f"the stream's next message has the method {brief(found)}")
    return message


def _serve(worker: HttpWorker, messages: Iterator[Json], data: Json) -> Json:
    """Answer the requests on a stream; return the answer at its end."""
    worker.reply(_next(messages, Method.blobs_put), {"blob_id": "0" * 64})
    return _serve_get(worker, messages, data)


def _serve_get(worker: HttpWorker, messages: Iterator[Json], data: Json) -> Json:
    worker.reply(_next(messages, Method.blobs_get), {"data": data, "blob_type": "data"})
    return _next(messages, None)


@http_rule("http.portLine", fresh=True)
def port_line(worker: HttpWorker) -> None:
    """A worker prints `{"port": N}` to stdout once it listens on that port."""
    if worker.process is None:
        raise Inapplicable("needs a process of its own, not a URL")
    result(worker.request(Method.components_list))


@http_rule("http.contentType")
def content_type(worker: HttpWorker) -> None:
    """A POST that is not `application/json` is refused 415."""
    for bad in ("text/plain", None):
        status, *_ = _post(worker, _list(worker), content_type=bad)
        ensure(status == 415, f"with the content type {bad} the status is {status}")
    status, *_ = _post(worker, _list(worker), content_type=f"{JSON}; charset=utf-8")
    ensure(status == 200, f"with a charset the status is {status}")


@http_rule("http.accept")
def accept(worker: HttpWorker) -> None:
    """Without `application/json` or `text/event-stream` in `Accept`, the answer is 406 with the reason."""
    for bad in ("text/html", f"{JSON};q=0", None):
        status, _, body = _post(worker, _list(worker), accept=bad)
        ensure(status == 406, f"with `Accept: {bad}` the status is {status}")
        ensure(bool(body.strip()), "a 406 does not say why")
    for good in (JSON, "*/*", f"text/html, {JSON};q=0.5", "application/*", f"{JSON}, {EVENTS}"):
        status, *_ = _post(worker, _list(worker), accept=good)
        ensure(status == 200, f"with `Accept: {good}` the status is {status}")


@http_rule("http.json")
def json_(worker: HttpWorker) -> None:
    """A request that needs no stream is answered 200 with one JSON body, errors included."""
    unknown = worker.text(id=1, method="no/such/method", params={})
    for message in (_list(worker), unknown):
        status, response, body = _post(worker, message)
        ensure(status == 200, f"the status is {status}")
        ensure(response.media_type == JSON, f"the media type is `{response.media_type}`")
        ensure(is_message(loaded(body)), "the body is not a message")


@http_rule("http.stream")
def stream(worker: HttpWorker) -> None:
    """A stream has the execute's requests, then its answer, and then it ends."""
    _, messages = _stream(worker, 3001, "streamed")
    answer = _serve(worker, messages, "streamed")
    equal(answer.get("id"), 3001, "the id of the answer on the stream")
    output(answer)
    ensure(next(messages, None) is None, "the stream goes on after the answer")


@http_rule("http.ownStream")
def own_stream(worker: HttpWorker) -> None:
    """All messages of an execute are on its own stream."""
    (_, one), (_, other) = _stream(worker, 3101, "one"), _stream(worker, 3102, "other")
    put, other_put = _next(one, Method.blobs_put), _next(other, Method.blobs_put)
    equal(put["params"].get("data"), "one", "the data on the first stream")
    equal(other_put["params"].get("data"), "other", "the data on the second stream")
    for messages, request, data in ((other, other_put, "other"), (one, put, "one")):
        worker.reply(request, {"blob_id": "0" * 64})
        equal(output(_serve_get(worker, messages, data)).get("data"), data, "the output")


@http_rule("http.events")
def events(worker: HttpWorker) -> None:
    """An event is one line `data: ` and an empty line, ended by LF."""
    response, messages = _stream(worker, 3201, "bytes\r\n\u2028")
    _serve(worker, messages, "bytes\r\n\u2028")
    list(messages)
    ensure(b"\r" not in response.raw, "there is a CR in the stream")
    ensure(response.raw.endswith(b"\n\n"), "the last event has no empty line after it")
    for block in response.raw.removesuffix(b"\n\n").split(b"\n\n"):
        ensure(bool(_EVENT.fullmatch(block)), f"this is not an event of one line: {block[:200]!r}")


@http_rule("http.streamRefused")
def stream_refused(worker: HttpWorker) -> None:
    """An execute that needs a stream is refused 406 to a client that accepts only JSON."""
    status, *_ = _post(worker, _blob_execute(worker, 3301, "refused"), accept=JSON)
    ensure(status == 406, f"the status is {status}")


@http_rule("http.accepted")
def accepted(worker: HttpWorker) -> None:
    """Notifications, and answers to the worker's requests, are acknowledged 202."""
    notified, *_ = _post(worker, worker.text(method=Method.initialized, params={}))
    ensure(notified == 202, f"a notification gets the status {notified}")
    _, messages = _stream(worker, 3401, "accepted")
    put = _next(messages, Method.blobs_put)
    answered, *_ = _post(worker, worker.text(id=put["id"], result={"blob_id": "0" * 64}))
    output(_serve_get(worker, messages, "accepted"))
    ensure(answered == 202, f"an answer gets the status {answered}")


@http_rule("http.badMessage")
def bad_message(worker: HttpWorker) -> None:
    """An invalid message gets a JSON-RPC error as the body, with status 400 or 200."""
    codes = {b"hello": ErrorCode.PARSE_ERROR, b"[]": ErrorCode.INVALID_REQUEST}
    for text, code in codes.items():
        status, _, body = _post(worker, text)
        ensure(status in (200, 400), f"the status is {status}")
        answer = loaded(body)
        ensure(is_message(answer), f"the body is not a message: {body[:200]!r}")
        error(answer, code)
        equal(answer.get("jsonrpc"), "2.0", "`jsonrpc`")


@http_rule("http.instanceId")
def instance_id(worker: HttpWorker) -> None:
    """Streams carry `Stepflow-Instance-Id`."""
    response, messages = _stream(worker, 3501, "instance")
    _serve(worker, messages, "instance")
    ensure(bool(response.headers.get("Stepflow-Instance-Id")), "the header is missing")


@http_rule("http.dropped")
def dropped(worker: HttpWorker) -> None:
    """When the client closes an execute's stream, the execute is cancelled."""
    if worker.session is None:
        raise Inapplicable("without a session nothing tells that an execute has ended")
    response, messages = _stream(worker, 3701, "dropped")
    _next(messages, Method.blobs_put)
    response.close()
    worker.note("the execute's stream was closed")
    # While an execute is open, its id is refused.
    deadline = time.monotonic() + worker.known.patience
    while "error" in worker.answer(worker.begin_execute(worker.probe("echo"), 1, id=3701)):
        ensure(time.monotonic() < deadline, "the execute is still open")
        time.sleep(0.05)


@http_rule("http.sessionless")
def sessionless(worker: HttpWorker) -> None:
    """A POST without a session works, also for executes that send requests."""
    other = worker.another(in_session=False)
    try:
        other.known.paths = worker.known.paths
        _, messages = _stream(other, 3601, "alone")
        equal(output(_serve(other, messages, "alone")).get("data"), "alone", "the output")
    finally:
        worker.known.exchanges.extend(other.known.exchanges)
        other.end()


def _health(worker: HttpWorker) -> dict[str, Json]:
    response = worker.http.request("GET", "/health", token=False)
    body = response.body()
    worker.note(f"GET /health: HTTP {response.status} {body[:200]!r}")
    ensure(response.status == 200, f"the status is {response.status}")
    found = loaded(body)
    ensure(isinstance(found, dict), f"the body is not an object: {body[:200]!r}")
    assert isinstance(found, dict)
    return found


@http_rule("http.health")
def health(worker: HttpWorker) -> None:
    """The answer to `GET /health` has `status`, `instanceId`, `timestamp` and `service`."""
    found = _health(worker)
    equal(found.get("status"), "healthy", "`status`")
    for name in ("instanceId", "timestamp", "service"):
        ensure(isinstance(found.get(name), str), f"`{name}` is {json.dumps(found.get(name))}")


@http_rule("http.healthDraining", fresh=True)
def health_draining(worker: HttpWorker) -> None:
    """While draining, `GET /health` still answers, with the status `draining`."""
    worker.handshake()
    held = hold(worker)
    worker.terminate()
    deadline = time.monotonic() + worker.known.patience
    while (status := _health(worker).get("status")) == "healthy":
        ensure(time.monotonic() < deadline, "it is `healthy` long after SIGTERM")
        time.sleep(0.05)
    equal(status, "draining", "`status`")
    held.finish()
    worker.must_exit()


@http_rule("http.token")
def token(worker: HttpWorker) -> None:
    """A worker with a token refuses requests without it with 401, except `/health`."""
    if not worker.http.token:
        raise Inapplicable("needs the worker's `--token`")
    bare = worker.http.post(worker.target, _list(worker), token=False)
    bare.body()
    ensure(bare.status == 401, f"without a token the status is {bare.status}")
    headers = {"Authorization": f"Bearer {worker.http.token}x"}
    wrong = worker.http.post(worker.target, _list(worker), token=False, headers=headers)
    wrong.body()
    ensure(wrong.status == 401, f"with another token the status is {wrong.status}")
    _health(worker)
