"""The plain worker over HTTP: messages, streams, sessions."""

import contextlib
import json
import os
import select
import socket
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from plain import ASKING, Json, Plain, Refused, set_at_sigterm, written


class Session:
    """A separate worker for one client."""

    def __init__(self, worker: Plain) -> None:
        self.id = str(uuid.uuid4())
        self.worker = worker
        self.lost = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """One request. `Handler.of` is what outlives it."""

    protocol_version = "HTTP/1.1"
    of: ClassVar["Http"]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        if where.path == "/health":
            return self.health()
        if not self.allowed():
            return self.body(401, {"error": "a token is needed"})
        if where.path == "/runtime/events":
            return self.events(self.session_id())
        return self.body(404, {"error": "there is nothing here"})

    def health(self) -> None:
        status = "draining" if self.of.over.is_set() else "healthy"
        self.body(200, {"status": status, "instanceId": "i", "timestamp": "t", "service": "plain"})

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.allowed():
            return self.body(401, {"error": "a token is needed"})
        if (self.headers.get("Content-Type") or "").partition(";")[0] != "application/json":
            return self.body(415, {"error": "POST application/json"})
        accepted = self.accepted()
        if not accepted:
            return self.body(406, {"error": "accept application/json or text/event-stream"})
        worker = self.worker()
        if worker is None:
            return self.body(404, Refused(-32600, "no such session").answer(None))
        return self.message(worker, text, accepted)

    def allowed(self) -> bool:
        token = self.of.token
        return token is None or self.headers.get("Authorization") == f"Bearer {token}"

    def accepted(self) -> set[str]:
        found = set()
        for each in (self.headers.get("Accept") or "").split(","):
            media, _, parameters = each.strip().partition(";")
            if parameters.replace(" ", "") not in ("q=0", "q=0.0"):
                found.add(media)
        if found & {"*/*", "application/*"}:
            found |= {"application/json"}
        return found & {"application/json", "text/event-stream"}

    def session_id(self) -> str | None:
        return parse_qs(urlsplit(self.path).query).get("sessionId", [None])[0]

    def worker(self) -> Plain | None:
        id = self.session_id()
        if id is None:
            return self.of.alone
        session = self.of.sessions.get(id)
        return session.worker if session else None

    def message(self, worker: Plain, text: bytes, accepted: set[str]) -> None:
        said: SimpleQueue[Json] = SimpleQueue()
        message = _loaded(text)
        if self.streams(message):
            if "text/event-stream" not in accepted:
                return self.body(406, {"error": "this needs text/event-stream"})
            worker.hear(text, said.put)
            return self.stream(worker, said)
        worker.hear(text, said.put)
        if self.wants_no_answer(message):
            return self.acknowledge()
        answer = said.get()
        code = answer.get("error", {}).get("code")
        return self.body(400 if code in (-32700, -32600) else 200, answer)

    def streams(self, message: Json) -> bool:
        params = message.get("params") if isinstance(message, dict) else None
        return isinstance(params, dict) and params.get("component") in ASKING and "input" in params

    def wants_no_answer(self, message: Json) -> bool:
        if not isinstance(message, dict):
            return False
        is_answer = bool(message.keys() & {"result", "error"})
        return is_answer != ("method" in message) and (is_answer or "id" not in message)

    def acknowledge(self) -> None:
        self.body(202, "")

    def body(self, status: int, value: Json) -> None:
        text = written(value)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    # Streams

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Stepflow-Instance-Id", "i")
        self.end_headers()

    def chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def stream(self, worker: Plain, said: SimpleQueue[Json]) -> None:
        self.begin_stream()
        while True:
            message = self.next(said)
            if message is None:
                return self.dropped(worker, said)
            self.chunk(self.event(message))
            if "method" not in message:
                return self.end_stream()

    def next(self, said: SimpleQueue[Json]) -> Json:
        """Return the next message, or `None` when the client has left."""
        while True:
            with contextlib.suppress(Empty):
                return said.get(timeout=0.02)
            if select.select([self.connection], [], [], 0)[0]:
                return None

    def dropped(self, worker: Plain, said: SimpleQueue[Json]) -> None:
        self.close_connection = True
        for execution in list(worker.executions):
            if execution.say == said.put and not worker.resumes:
                worker.stop(execution)

    def end_stream(self) -> None:
        self.chunk(b"")

    def event(self, message: Json) -> bytes:
        return b"data: " + json.dumps(message, separators=(",", ":")).encode() + b"\n\n"

    # Sessions

    def events(self, id: str | None) -> None:
        session = self.of.open() if id is None else self.of.sessions.get(id)
        if session is None:
            return self.body(404, Refused(-32600, "no such session").answer(None))
        session.lost.clear()
        self.begin_stream()
        self.chunk(self.first_event(session))
        with contextlib.suppress(OSError):
            self.connection.recv(1)  # nothing arrives on it except its end
        self.of.lost(session)
        self.close_connection = True
        return None

    def first_event(self, session: Session) -> bytes:
        data = json.dumps({"endpoint": f"/?sessionId={session.id}"})
        return f"event: endpoint\ndata: {data}\n\n".encode()


def _loaded(text: bytes) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Http:
    """The process: its port, its sessions, its end."""

    def __init__(
        self, kind: type[Plain], handler: type[Handler] = Handler, token: str | None = None
    ) -> None:
        self.kind = kind
        self.token = token
        self.handler = handler
        self.over = threading.Event()
        self.sessions: dict[str, Session] = {}
        self.alone = kind()
        self.workers = [self.alone]

    def open(self) -> Session:
        session = Session(self.kind())
        self.sessions[session.id] = session
        self.workers.append(session.worker)
        return session

    def lost(self, session: Session) -> None:
        session.lost.set()
        if session.worker.resumes:
            threading.Timer(30, self.close, (session,)).start()
        else:
            self.close(session)

    def close(self, session: Session) -> None:
        if session.lost.is_set():
            for execution in list(session.worker.executions):
                session.worker.stop(execution)
            self.sessions.pop(session.id, None)

    def serve(self) -> None:
        set_at_sigterm(self.over)
        self.handler.of = self
        server = Server(("127.0.0.1", 0), self.handler)
        self.say_port(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.over.wait()
        for worker in self.workers:
            worker.draining = True
        while any(worker.executions for worker in self.workers):
            time.sleep(0.01)
        time.sleep(0.05)  # time to finish writing
        with contextlib.suppress(OSError):
            server.socket.shutdown(socket.SHUT_RDWR)
        os._exit(0)

    def say_port(self, port: int) -> None:
        print(json.dumps({"port": port}), flush=True)
