"""Has no sessions. `/echo` answers its input, and `/seen/...` the request's headers and message. `/blob` answers the
replies that came over its stream, `/error` the error that its input describes, `/refused` a status and a body.
`/closed` answers when the server has closed another connection. The other components misbehave as their names say.
`--legacy` announces no capabilities, `--port` names the port, `--draining` accepts no execute, `--only` serves one
component."""

import argparse
import os
import queue
import threading

import http_wire

arguments = argparse.ArgumentParser()
arguments.add_argument("--legacy", action="store_true")
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--token")
arguments.add_argument("--unwell", type=int, default=0, help="how often it is not up when asked")
arguments.add_argument("--only", help="the one component that it has")
arguments.add_argument("--draining", action="store_true")
arguments.add_argument("--noise", action="store_true", help="write on stdout, and close it at last")
arguments.add_argument("--accepted", default='""', help="the body of each 202")
options = arguments.parse_args()

TYPED = {
    "component": "/typed",
    "input_schema": {"type": "object", "properties": {"blob_id": {"type": "string"}}},
}
NAMES = ("/echo", "/blob", "/error", "/refused", "/split", "/newlines", "/twice", "/cut", "/hold")
NAMES = (*NAMES, "/half", "/drip", "/die", "/closed", "/seen/{*rest}")
COMPONENTS = [*({"component": name} for name in NAMES), TYPED]
if options.only:
    COMPONENTS = [{"component": options.only}]

replies = queue.Queue()
released = threading.Event()


def ask(request, method, params, request_id):
    """Asks the server over the execute's own stream; its answer comes as a separate request."""
    request.event({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    return replies.get()


def handle(request):
    if options.token and request.headers.get("authorization") != f"Bearer {options.token}":
        return request.respond(401, '{"error":{"code":-32000,"message":"no token"}}')
    if request.target == "/health":
        options.unwell -= 1
        return request.respond(503 if options.unwell >= 0 else 200)
    if request.method == "GET":
        return request.respond(404, '{"detail":"Not Found"}')
    if "method" not in request.message:
        replies.put((request.message, request.headers.get("stepflow-instance-id")))
        return request.respond(202, options.accepted)
    if request.message["method"] != "components/execute":
        return request.respond(
            400, '{"error":{"code":-32600,"message":"Failed to decode message"}}'
        )
    if options.draining:
        error = {"code": -32006, "message": "draining"}
        body = {"id": None, "error": error, "jsonrpc": "2.0"}
        return request.respond(503, http_wire.text(body))
    prefix = (options.only or "").partition("{")[0]
    if not request.params["component"].startswith(prefix):
        error = {"code": -32001, "message": "not here"}
        answer = {"id": request.message["id"], "error": error, "jsonrpc": "2.0"}
        return request.respond(200, http_wire.text(answer))
    execute(request, request.params["component"], request.params["input"])


def execute(request, component, value):
    match component:
        case "/blob":
            request.stream("Stepflow-Instance-Id: it-is-me\r\n")
            put = ask(request, "blobs/put", {"data": value, "blob_type": "data"}, "mine-1")
            got = ask(request, "blobs/get", {"blob_id": put[0]["result"]["blob_id"]}, 2)
            request.last([put, got])
        case "/error":
            answer = {"id": request.message["id"], "error": value, "jsonrpc": "2.0"}
            request.respond(200, http_wire.text(answer))
        case "/refused":
            request.respond(value["status"], value["body"], value.get("type", "application/json"))
        case "/split":
            # Every byte is sent separately, and all kinds of line ends occur.
            request.stream()
            answer = {"id": request.message["id"], "result": {"output": "é🦀"}, "jsonrpc": "2.0"}
            for (
                byte
            ) in f": hello\r\n\r\nevent: message\rdata: {http_wire.text(answer)}\r\r".encode():
                request.chunk(bytes([byte]))
            request.end()
        case "/newlines":
            number = request.message["id"]
            request.respond(200, f'{{"id":{number},\r\n"result":\n{{"output":{{"a":\r\n1}}\n}}}}\n')
        case "/twice":
            request.stream()
            for output in ("first", "second"):
                message = {"id": request.message["id"], "result": {"output": output}}
                request.event(message | {"jsonrpc": "2.0"})
            request.end()
        case "/cut":
            # In the middle of a character of the answer.
            request.stream()
            request.chunk(b'data: {"id":1,"result":{"output":"\xc3')
            request.cut()
        case "/half":
            # The stream ends, and there was no answer.
            request.stream()
            request.end()
        case "/drip":
            body = http_wire.text({"id": request.message["id"], "result": {"output": "slow"}})
            request.raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
            request.raw(f"content-length: {len(body)}\r\n\r\n{body[:5]}")
            released.wait()
            request.raw(body[5:])
        case "/die":
            os._exit(3)
        case "/hold":
            released.wait()
            request.output("held")
        case "/closed":
            http_wire.closed.acquire()
            request.output("closed")
        case "/echo" if value == "release":
            released.set()
            request.output("released")
        case path if path.startswith("/seen/"):
            request.output({"headers": request.headers, "target": request.target} | request.message)
        case _:
            request.output(value)


if options.noise:
    print('starting\n{"jsonrpc": "2.0", "method": "no"}', flush=True)
http_wire.serve(
    handle,
    COMPONENTS,
    None if options.legacy else {"max_concurrency": 8},
    options.port,
    options.noise,
)
