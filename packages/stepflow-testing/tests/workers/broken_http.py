"""The plain worker over HTTP, with one rule of this transport broken."""

import os
import threading
from queue import SimpleQueue

from breaking import Breaking
from plain import Json, Plain
from plain_http import Handler, Http, Session

breaks = Breaking[Handler]()
breaks_server = Breaking[Http]()


class _Exits(threading.Event):
    def set(self) -> None:
        os._exit(1)


@breaks_server("http.portLine")
class SaysNoPort(Http):
    def say_port(self, port: int) -> None:
        print(f"listening on {port}", flush=True)


@breaks("http.contentType")
class AnyType(Handler):
    def do_POST(self) -> None:
        self.headers.replace_header("Content-Type", "application/json")
        super().do_POST()


@breaks("http.accept")
class AnyAccept(Handler):
    def accepted(self) -> set[str]:
        return super().accepted() or {"application/json"}


@breaks("http.json")
class ErrorStatus(Handler):
    def body(self, status: int, value: Json) -> None:
        is_error = isinstance(value, dict) and value.get("error") and status == 200
        super().body(500 if is_error else status, value)


@breaks("http.stream")
class KeepsOpen(Handler):
    def end_stream(self) -> None:
        self.chunk(b'data: {"jsonrpc":"2.0","method":"more"}\n\n')
        super().end_stream()


@breaks("http.ownStream")
class FirstStream(Handler):
    """Sends an execute's messages on the stream that was used last."""

    def message(self, worker: Plain, text: bytes, accepted: set[str]) -> None:
        text = text.replace(b'"input":"other"', b'"input":"one"')
        super().message(worker, text, accepted)


@breaks("http.events")
class CarriageReturns(Handler):
    def event(self, message: Json) -> bytes:
        return super().event(message).replace(b"\n", b"\r\n")


@breaks("http.streamRefused")
class StreamsAnyway(Handler):
    def accepted(self) -> set[str]:
        return super().accepted() and {"application/json", "text/event-stream"}


@breaks("http.accepted")
class Ok(Handler):
    def acknowledge(self) -> None:
        self.body(200, "")


@breaks("http.badMessage")
class NoEnvelope(Handler):
    def body(self, status: int, value: Json) -> None:
        super().body(status, {"error": value["error"]} if status == 400 else value)


@breaks("http.instanceId")
class Anonymous(Handler):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Stepflow-Instance-Id":
            super().send_header(keyword, value)


@breaks("http.dropped")
class GoesOn(Handler):
    def dropped(self, worker: Plain, said: SimpleQueue[Json]) -> None:
        self.close_connection = True


@breaks("http.sessionless")
class SessionsOnly(Handler):
    def worker(self) -> Plain | None:
        return super().worker() if self.session_id() else None


@breaks("http.health")
class NoTimestamp(Handler):
    def body(self, status: int, value: Json) -> None:
        if isinstance(value, dict):
            value.pop("timestamp", None)
        super().body(status, value)


@breaks("http.healthDraining")
class AlwaysHealthy(Handler):
    def health(self) -> None:
        if self.of.over.is_set():
            return self.body(503, {"status": "draining"})
        return super().health()


@breaks("http.token")
class Prefix(Handler):
    """Compares only the beginning."""

    def allowed(self) -> bool:
        given = self.headers.get("Authorization") or ""
        return given.startswith(f"Bearer {self.of.token}")


@breaks("session.endpoint")
class BareEndpoint(Handler):
    def first_event(self, session: Session) -> bytes:
        return (
            super().first_event(session).replace(b"event: endpoint\n", b"event: endpoint\nid: 1\n")
        )


@breaks_server("session.apart")
class OneForAll(Http):
    def open(self) -> Session:
        session = super().open()
        session.worker.calls = self.alone.calls
        return session


@breaks("session.unknown")
class AnySession(Handler):
    def worker(self) -> Plain | None:
        return super().worker() or self.of.alone


@breaks_server("session.resume")
class ForgetsAtOnce(Http):
    def lost(self, session: Session) -> None:
        session.lost.set()
        self.close(session)


@breaks_server("drain.exits")
@breaks_server("drain.finishes")
class LeavesAtOnce(Http):
    def serve(self) -> None:
        self.over = _Exits()
        super().serve()
