"""Writes more than any pipe holds before it reads on: 2 000 requests of 4 KiB each, when it gets its first task."""

import wire

wire.greet(capabilities={"max_concurrency": 64})
first = wire.receive()
for number in range(2000):
    wire.send(
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "blobs/put",
            "params": {"data": "x" * 4096, "blob_type": "data"},
        }
    )
replies = 0
wire.answer(first, len(first["params"]["input"]))
for message in wire.executes():
    if "method" in message:
        wire.answer(message, len(message["params"]["input"]))
