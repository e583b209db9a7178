"""Messages: their envelope, and how invalid ones are answered."""

from stepflow.protocol import ErrorCode, Method
from stepflow.testing.conformance._expect import ensure, error, has_id, output, result
from stepflow.testing.conformance._failures import Inapplicable
from stepflow.testing.conformance._held import hold
from stepflow.testing.conformance._http_worker import HttpWorker
from stepflow.testing.conformance._rule import rule
from stepflow.testing.conformance._worker import Json, Worker

IDS = ("seven", "7", 7, 0, -1, 2**63 - 1, -(2**63), 'ä"\\\u2028')

# The first is answered with a result, the second with an error.
BOTH_WAYS: tuple[tuple[Method, Json], ...] = (
    (Method.components_list, {}),
    (Method.components_info, {"component": "/no/such/component"}),
)

NOT_JSON = (b"hello", b'{"jsonrpc":"2.0","id":1,"method":', b'{"jsonrpc":"2.0"}}', b"\x00")

NOT_UTF8 = (
    b"\xff\xfe",
    b'{"jsonrpc":"2.0","id":"u","method":"components/info","params":{"component":"\xff"}}',
)

INVALID = (
    (b"[]", None),
    (b'[{"jsonrpc":"2.0","id":"batch","method":"components/list","params":{}}]', None),
    (b"7", None),
    (b'{"jsonrpc":"2.0","id":"nothing"}', "nothing"),
    (b'{"jsonrpc":"2.0","id":"m","method":7,"params":{}}', "m"),
    (b'{"jsonrpc":"2.0","id":"both","method":"components/list","params":{},"result":{}}', "both"),
    (b'{"jsonrpc":"2.0","id":1.5,"method":"components/list","params":{}}', None),
    (b'{"jsonrpc":"2.0","id":true,"method":"components/list","params":{}}', None),
    (b'{"jsonrpc":"2.0","id":["x"],"method":"components/list","params":{}}', None),
)

BAD_PARAMS: tuple[tuple[Method, Json], ...] = (
    (Method.components_info, {}),
    (Method.components_info, {"component": 7}),
    (Method.components_info, ["/x"]),
    (Method.components_execute, {"component": "/x"}),
    (Method.components_execute, {"component": "/x", "input": 1, "attempt": "one"}),
)

NASTY = (b"[" * 100_000, b'{"id":' + b"9" * 5000 + b"}", b'"\\ud800"', b"\xef\xbb\xbf{}", b"null")


@rule("envelope.jsonrpc")
def jsonrpc(worker: Worker) -> None:
    """Every message carries `"jsonrpc": "2.0"`."""
    for method, params in BOTH_WAYS:
        found = worker.request(method, params).get("jsonrpc")
        ensure(found == "2.0", f"`jsonrpc` is {found!r}")


@rule("envelope.ids", fresh=True)
def ids(worker: Worker) -> None:
    """An id comes back with its type."""
    for id in IDS:
        worker.begin(Method.components_list, {}, id=id)
        has_id(worker.receive(), id)


@rule("envelope.oneAnswer")
def one_answer(worker: Worker) -> None:
    """Every request gets exactly one answer."""
    for method, params in BOTH_WAYS:
        worker.request(method, params)
    more = [*worker.unanswered(worker.text(method="initialized", params={})), *worker.taken()]
    ensure(not more, f"{len(more)} more came than there were requests")


@rule("envelope.results")
def results(worker: Worker) -> None:
    """A result is an object."""
    result(worker.request(Method.components_list))


@rule("envelope.notifications")
def notifications(worker: Worker) -> None:
    """A notification is never answered; an unknown one is ignored."""
    for method in (Method.initialized, "no/such/notification"):
        came = worker.unanswered(worker.text(method=method, params={}))
        ensure(not came, f"the notification `{method}` was answered")


@rule("envelope.strayAnswers")
def stray_answers(worker: Worker) -> None:
    """An answer without a request is ignored."""
    refusal = {"code": -32000, "message": "for nobody"}
    for text in (worker.text(id="stray", result={}), worker.text(id="stray", error=refusal)):
        ensure(not worker.unanswered(text), "an answer was answered")


@rule("envelope.unknownMembers")
def unknown_members(worker: Worker) -> None:
    """Unknown members are ignored, in the envelope and in params."""
    text = worker.text(id="u", method=Method.components_list, params={"novel": [1]}, novel={})
    worker.send_text(text)
    result(worker.answer("u"))


@rule("envelope.nulls", fresh=True)
def nulls(worker: Worker) -> None:
    """`null` in an optional member means the same as an absent member."""
    params = {"runtime_protocol_version": 1, "observability": None, "capabilities": None}
    result(worker.request(Method.initialize, params))
    try:
        probe = worker.succeeding
    except Inapplicable:
        return
    output(worker.execute(probe.path, probe.input, task_id=None, deadline_ms=None))


@rule("envelope.notJson")
def not_json(worker: Worker) -> None:
    """Text that is not JSON is answered -32700 with the id `null`."""
    for text in NOT_JSON:
        worker.send_text(text)
        answer = worker.receive()
        error(answer, ErrorCode.PARSE_ERROR)
        has_id(answer, None)


@rule("envelope.notUtf8")
def not_utf8(worker: Worker) -> None:
    """Text that is not UTF-8 is refused."""
    codes = (ErrorCode.PARSE_ERROR, ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_PARAMS)
    for text in NOT_UTF8:
        worker.send_text(text)
        error(worker.receive(), *codes)


@rule("envelope.invalid")
def invalid(worker: Worker) -> None:
    """JSON that is not a message is answered -32600, with its id if that can be read."""
    for text, id in INVALID:
        worker.send_text(text)
        answer = worker.receive()
        error(answer, ErrorCode.INVALID_REQUEST)
        has_id(answer, id)


@rule("envelope.unknownMethod")
def unknown_method(worker: Worker) -> None:
    """An unknown method is answered -32601, and so is a method of the server."""
    for method in ("no/such/method", Method.blobs_put):
        error(worker.request(method), ErrorCode.METHOD_NOT_FOUND)


@rule("envelope.badParams")
def bad_params(worker: Worker) -> None:
    """Params that do not fit their method are answered -32602."""
    for method, params in BAD_PARAMS:
        error(worker.request(method, params), ErrorCode.INVALID_PARAMS)


@rule("envelope.duplicateId")
def duplicate_id(worker: Worker) -> None:
    """A second execute with an open id is refused -32600; the first goes on."""
    if isinstance(worker, HttpWorker) and worker.session is None:
        raise Inapplicable("without a session, two servers may use the same id")
    held = hold(worker, id="twice")
    worker.begin_execute(worker.probe("blob"), "second", id="twice")
    error(worker.answer("twice"), ErrorCode.INVALID_REQUEST)
    held.finish()


@rule("envelope.survives")
def survives(worker: Worker) -> None:
    """The worker goes on serving after any message."""
    for text in NASTY:
        worker.send_text(text)
        worker.receive()
        result(worker.request(Method.components_list))
