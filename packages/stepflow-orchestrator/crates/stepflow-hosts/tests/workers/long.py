"""Sends messages of the length that its input names: `/output` an output, `/put` a blob. `/get` asks for a blob with an
id so long that the answer is as long as the request. `/put` and `/get` return the reply."""

import json

import wire

wire.greet([{"component": name} for name in ("/output", "/put", "/get")], {"max_concurrency": 4})


def ask(method, params, request_id):
    wire.send({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
    return wire.receive()


for request in wire.executes():
    length = request["params"]["input"]
    match request["params"]["component"]:
        case "/output":
            # The id stands last, as some write it.
            text = json.dumps({"result": {"output": "x" * length}, "id": request["id"]})
            wire.sys.stdout.write(text + "\n")
            wire.sys.stdout.flush()
        case "/put":
            put = ask("blobs/put", {"data": "x" * length, "blob_type": "data"}, "put")
            wire.answer(request, put)
        case "/get":
            put = ask("blobs/put", {"data": "x" * length, "blob_type": "data"}, "put")
            wire.answer(request, ask("blobs/get", put["result"], "long " * 100)["error"])
