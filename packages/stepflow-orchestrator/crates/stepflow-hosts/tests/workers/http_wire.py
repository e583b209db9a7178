"""The worker's end of HTTP in raw bytes, so that a test's worker shares no code with the real one."""

import contextlib
import json
import os
import socket
import socketserver
import sys
import threading

ANY = {"component": "/echo"}

MAX_BODY = None
"""The longest body that is taken, in bytes; one that is longer is refused, and read without being kept."""

closed = threading.Semaphore(0)
"""Counts the connections that the server has closed."""


class Request:
    """A request whose answer is still owed."""

    def __init__(self, head, body, socket):
        line, *headers = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = {
            name.lower(): value.strip() for name, _, value in (h.partition(":") for h in headers)
        }
        self.message = json.loads(body) if body else {}
        self.socket = socket

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def params(self):
        return self.message.get("params")

    def raw(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def respond(self, status, body="", content_type="application/json", headers=""):
        body = body if isinstance(body, bytes) else body.encode()
        self.raw(
            f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{headers}"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )

    def result(self, result):
        self.respond(200, text({"id": self.message["id"], "result": result, "jsonrpc": "2.0"}))

    def output(self, output):
        self.result({"output": output})

    def stream(self, headers=""):
        """Begins a stream of events; what follows is written by `chunk` and `event`."""
        self.raw(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            f"transfer-encoding: chunked\r\n{headers}\r\n"
        )

    def chunk(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, message):
        self.chunk(f"data: {text(message)}\n\n")

    def last(self, output):
        """The answer, and the end of the stream."""
        self.event({"id": self.message["id"], "result": {"output": output}, "jsonrpc": "2.0"})
        self.end()

    def end(self):
        self.raw("0\r\n\r\n")

    def cut(self):
        """Breaks the connection off."""
        self.socket.close()


def text(message):
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def requests(socket):
    """The requests of one connection, one after the other."""
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            part = socket.recv(65536)
            if not part:
                return closed.release()
            buffer += part
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        lengths = [h for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")]
        length = int(lengths[0].partition(b":")[2]) if lengths else 0
        if MAX_BODY is not None and length > MAX_BODY:
            Request(head, b"", socket).respond(413, '{"error":"too much"}')
            while socket.recv(65536):
                pass
            return closed.release()
        while len(buffer) < length:
            buffer += socket.recv(65536)
        body, buffer = buffer[:length], buffer[length:]
        yield Request(head, body, socket)


def handshake(request, components, capabilities):
    """Answers what every worker is asked first; false when it was something else."""
    match request.message.get("method"):
        case "initialize":
            announced = {} if capabilities is None else {"capabilities": capabilities}
            request.result({"server_protocol_version": 1} | announced)
        case "initialized":
            request.respond(202, '""')
        case "components/list":
            request.result({"components": list(components)})
        case _:
            return False
    return True


def serve(handle, components=(ANY,), capabilities=None, port=0, noise=False):
    """Serves for ever: a thread for each connection. `handle` gets every request but the handshake's."""

    class Connection(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                for request in requests(self.request):
                    if not handshake(request, components, capabilities):
                        handle(request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", port), Connection) as server:
        print(json.dumps({"port": server.server_address[1]}), flush=True)
        threading.Thread(target=server.serve_forever).start()
        if noise:
            print('{"id": 1, "result": {}}', flush=True)
            os.close(1)
        sys.stdin.read()
        server.shutdown()
