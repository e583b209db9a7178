"""Sends messages of the length that its input names, and takes none longer than 100 000 bytes. `/body` sends its
output as one body, `/chunks` in pieces of unknown total length, `/event` as an event; `/put` sends a blob in an
event; `/get` asks for a blob and does not take the answer. `/cancelled` returns the tasks that were cancelled."""

import queue
import sys

import http_wire

NAMES = ("/echo", "/body", "/chunks", "/event", "/put", "/get", "/cancelled")
cancelled = queue.Queue()
replies = queue.Queue()


def handle(request):
    if request.path == "/health":
        return request.respond(200)
    if request.method == "GET":
        return request.respond(404, '{"detail":"Not Found"}')
    if "method" not in request.message:
        if request.message["id"] == "get":
            return request.respond(413, '{"error":"too much"}')
        replies.put(request.message)
        return request.respond(202)
    if request.message["method"] == "components/cancel":
        cancelled.put(request.params["task_id"])
        return request.respond(202)
    length = request.params["input"]
    match request.params["component"]:
        case "/body":
            request.output("x" * length)
        case "/chunks":
            request.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            request.raw("transfer-encoding: chunked\r\n\r\n")
            answer = {"id": request.message["id"], "result": {"output": "x" * length}}
            request.chunk(http_wire.text(answer))
            request.end()
        case "/event":
            request.stream()
            request.last("x" * length)
        case "/put":
            request.stream()
            params = {"data": "x" * length, "blob_type": "data"}
            request.event({"jsonrpc": "2.0", "id": "put", "method": "blobs/put", "params": params})
            request.last(replies.get())
        case "/get":
            request.stream()
            params = {"data": "x" * length, "blob_type": "data"}
            request.event({"jsonrpc": "2.0", "id": "put", "method": "blobs/put", "params": params})
            params = replies.get()["result"]
            request.event({"jsonrpc": "2.0", "id": "get", "method": "blobs/get", "params": params})
            replies.get()
        case "/cancelled":
            request.output(cancelled.get())
        case _:
            request.output(request.params["input"])


http_wire.MAX_BODY = 100_000
http_wire.serve(
    handle,
    [{"component": name} for name in NAMES],
    {"max_concurrency": 8, "cancel": True, "resume": "--resume" in sys.argv},
)
