"""Answers at once: `/echo` its input, `/seen/...` the whole message, `/blob` the replies to its blob requests,
`/error` the error that its input describes. `/numbered` declares that it returns an object with a number `n`.
`--legacy` announces no capabilities, `--banner` first writes a line that could name a port, `--late-banner` writes
another line before that."""

import sys

import wire

TYPED = {
    "component": "/typed",
    "input_schema": {"type": "object", "properties": {"blob_id": {"type": "string"}}},
}
NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
NUMBERED = {"component": "/numbered/{*rest}", "output_schema": NUMBER}
BROKEN = {"component": "/unchecked", "input_schema": {"$ref": "https://example.com/schema.json"}}
PLAIN = [
    {"component": name} for name in ("/echo", "/blob", "/error", "/seen/{*rest}", "/bad_request")
]

if "--late-banner" in sys.argv:
    print("starting")
if "--banner" in sys.argv or "--late-banner" in sys.argv:
    print('{"port": 1}', flush=True)

wire.greet(
    [*PLAIN, TYPED, NUMBERED, BROKEN], None if "--legacy" in sys.argv else {"max_concurrency": 8}
)


def ask(method, params, request_id="mine-1"):
    wire.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    return wire.receive()


for request in wire.executes():
    params = request["params"]
    match params["component"]:
        case "/blob":
            put = ask(
                "blobs/put", {"data": params["input"], "blob_type": "data", "observability": None}
            )
            got = ask("blobs/get", {"blob_id": put["result"]["blob_id"]}, 2)
            wire.answer(request, [put, got])
        case "/bad_request":
            unknown = ask("runs/nothing", {})
            missing = ask("blobs/get", {"blob_id": "0" * 64})
            shapeless = ask("blobs/get", {"blob_id": 3})
            wire.answer(
                request, [reply["error"]["code"] for reply in (unknown, missing, shapeless)]
            )
        case "/error":
            wire.refuse(request, **params["input"])
        case path if path.startswith("/seen/"):
            wire.answer(request, params)
        case _:
            wire.answer(request, params["input"])
