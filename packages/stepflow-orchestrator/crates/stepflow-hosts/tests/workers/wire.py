"""The worker's end of the protocol in raw lines, so that a test's worker shares no code with the real one."""

import json
import sys

ANY = {"component": "/echo"}


def send(message):
    sys.stdout.buffer.write(
        json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    )
    sys.stdout.buffer.flush()


def receive():
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(request, output):
    send({"id": request["id"], "result": {"output": output}, "jsonrpc": "2.0"})


def refuse(request, code, message, data=None):
    send(
        {
            "id": request["id"],
            "error": {"code": code, "message": message, "data": data},
            "jsonrpc": "2.0",
        }
    )


def greet(components=(ANY,), capabilities=None):
    """Serves the handshake. Without capabilities: as a published worker, which announces nothing."""
    result = {"server_protocol_version": 1}
    if capabilities is not None:
        result["capabilities"] = capabilities
    initialize = receive()
    assert initialize["method"] == "initialize", initialize
    send({"id": initialize["id"], "result": result, "jsonrpc": "2.0"})
    assert receive() == {"jsonrpc": "2.0", "method": "initialized", "params": {}}
    listing = receive()
    assert listing["method"] == "components/list", listing
    send({"id": listing["id"], "result": {"components": list(components)}, "jsonrpc": "2.0"})


def executes():
    """The executes that follow, and the notifications among them."""
    while True:
        yield receive()
