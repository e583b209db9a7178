"""A worker behind a URL: messages are sent with POST, with or without a session."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from stepflow.testing.conformance._failures import Broken, CannotStart, Inapplicable, Unreachable
from stepflow.testing.conformance._http import EVENTS, Http, Response
from stepflow.testing.conformance._process import Process, ended
from stepflow.testing.conformance._worker import Json, Probe, Worker

_START = 30.0


class HttpWorker(Worker):
    """One session with a worker, or none when it has no sessions."""

    def __init__(
        self,
        http: Http,
        any_component: Probe | None,
        process: Process | None = None,
        *,
        in_session: bool = True,
    ) -> None:
        """any_component: a component that succeeds, for workers without `/conformance/echo`.
        process: the worker's process, if the checker has started it; it ends with this connection.
        in_session: whether to open a session.

        Raises `Unreachable` when the worker does not listen.
        """
        super().__init__(http.patience, any_component)
        self.http = http
        self.process = process
        self.session = Session.open(http) if in_session else None
        self._instance: str | None = None
        self._open: list[Response] = []

    @property
    def target(self) -> str:
        """The path that messages are sent to."""
        return self.session.endpoint if self.session else ""

    def another(self, *, in_session: bool = True) -> "HttpWorker":
        """Return a second connection to the same process. Raises `Unreachable`."""
        return HttpWorker(self.http, self.known.any_component, in_session=in_session)

    def send_text(self, text: bytes) -> None:
        self.sent(text)
        threading.Thread(target=self._exchange, args=(text,), daemon=True).start()

    def tell(self, text: bytes) -> None:
        self.unanswered(text)

    def unanswered(self, text: bytes) -> list[Json]:
        self.sent(text)
        headers = {"Stepflow-Instance-Id": self._instance} if self._instance else {}
        response = self.http.post(self.target, text, headers=headers)
        body = response.body()
        self.note(f"HTTP {response.status}")
        return [message] if is_message(message := loaded(body)) else []

    def _exchange(self, text: bytes) -> None:
        try:
            self._receive_all(self.http.post(self.target, text))
        except Broken as broken:
            self.arrived(broken)

    def _receive_all(self, response: Response) -> None:
        if response.media_type != EVENTS:
            body = response.body()
            if response.status != 202:
                self.arrived(body)
            return
        self._instance = response.headers.get("Stepflow-Instance-Id")
        self._open.append(response)
        response.wait_for_ever()
        answered = False
        with self._unless_dropped(response):
            for _, message in response.events():
                self.arrived(message)
                answered = answered or not _is_request(message)
            if not answered:
                raise Unreachable("the stream ended without an answer")

    @contextlib.contextmanager
    def _unless_dropped(self, response: Response) -> Iterator[None]:
        try:
            yield
        except Unreachable:
            # A stream that `drop_streams` has closed is expected to break.
            if response in self._open:
                raise

    def drop_streams(self) -> None:
        """Close the streams of all open executes."""
        dropped, self._open = self._open, []
        for response in dropped:
            response.close()

    def terminate(self) -> None:
        if self.process is None:
            raise Inapplicable("needs a process of its own, not a URL")
        self.process.terminate()
        self.note("SIGTERM was sent")

    def must_exit(self) -> None:
        assert self.process is not None
        self.process.must_exit(self.known.patience)

    def end(self) -> None:
        if self.session:
            self.session.close()
        self.drop_streams()
        if self.process is not None:
            self.process.kill()


class Session:
    """An event stream. Its first event names the address for messages."""

    def __init__(
        self, stream: Response, events: Iterator[tuple[str, bytes]], endpoint: str
    ) -> None:
        self._stream = stream
        self._events = events  # kept, because the stream closes when the iterator is deleted
        self.endpoint = endpoint
        self.first_bytes = stream.raw
        stream.wait_for_ever()

    @classmethod
    def open(cls, http: Http, target: str = "/runtime/events") -> "Session | None":
        """Open a session and return it; `None` if the worker has no sessions. Raises `Broken`."""
        stream = http.request("GET", target, headers={"Accept": EVENTS})
        if stream.status in (404, 405) or stream.media_type != EVENTS:
            stream.close()
            return None
        events = stream.events()
        for name, data in events:
            if name == "endpoint":
                return cls(stream, events, _endpoint(data))
        raise Broken("the session's stream ended without an `endpoint` event")

    def close(self) -> None:
        """Close the stream; the session ends with it."""
        self._stream.close()


def _endpoint(data: bytes) -> str:
    value = loaded(data)
    endpoint = value.get("endpoint") if isinstance(value, dict) else None
    if not isinstance(endpoint, str):
        raise Broken(f"the event `endpoint` has no address: {data!r}")
    return endpoint


def loaded(text: bytes) -> Any:
    """Return the JSON value of a text; `None` if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_request(text: bytes) -> bool:
    value = loaded(text)
    return isinstance(value, dict) and "method" in value


def is_message(value: Any) -> bool:
    """Whether the value of a body is a message, and not only an acknowledgement."""
    return isinstance(value, dict) and bool(value.keys() & {"result", "error", "method"})


class Listening:
    """A process that has printed the port that it listens on."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start the process. Raises `CannotStart` when it does not print a port within 30 s."""
        self.process = Process(command, speaks_on_stdin=False)
        self._found = threading.Event()
        self.port: int | None = None
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()
        if not self._found.wait(_START) or self.port is None:
            problem = self._problem()
            self.process.kill()
            raise CannotStart(problem)

    def _problem(self) -> str:
        code = self.process.exit_code(0.5) if self._ended else None
        stderr = self.process.stderr_tail
        if code is not None:
            return (
                f'the worker {ended(code)} before it said `{{"port": N}}` on stdout{stderr}\n'
                "hint: its own command has to ask for HTTP, as `stepflow-worker FILE --http --port 0`"
            )
        return f'the worker did not say `{{"port": N}}` on stdout within {_START:g} s{stderr}'

    def _read(self) -> None:
        for line in self.process.output:
            value = loaded(line)
            if self.port is None and isinstance(value, dict) and type(value.get("port")) is int:
                self.port = value["port"]
                self._found.set()
        self._ended = True
        self._found.set()


def until_reachable(http: Http) -> None:
    """Wait until the worker listens. Raises `CannotStart` when it does not in time."""
    deadline = time.monotonic() + http.patience
    while True:
        try:
            return http.request("GET", "/health").close()
        except Unreachable as unreachable:
            if time.monotonic() > deadline:
                raise CannotStart(f"{http.base} cannot be reached: {unreachable}") from None
            time.sleep(0.1)
