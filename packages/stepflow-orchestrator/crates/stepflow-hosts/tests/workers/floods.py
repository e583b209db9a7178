"""`/flood` asks for one blob as often as its input says. It reads no answer while the file exists that the environment
variable STOP names; then it reads all answers and returns how many there were."""

import os
import time

import wire

wire.greet([{"component": name} for name in ("/flood", "/echo")], {"max_concurrency": 2})
for request in wire.executes():
    if request["params"]["component"] == "/echo":
        wire.answer(request, None)
        continue
    wire.send(
        {"id": 0, "method": "blobs/put", "params": {"data": "x" * (1 << 20), "blob_type": "data"}}
    )
    blob = wire.receive()["result"]
    for number in range(request["params"]["input"]):
        wire.send({"id": number, "method": "blobs/get", "params": blob})
    # It has asked for everything.
    open(os.environ["STOP"] + ".asked", "w").close()
    while os.path.exists(os.environ["STOP"]):
        time.sleep(0.01)
    replies = [wire.receive() for _ in range(request["params"]["input"])]
    wire.answer(request, sum(reply["result"]["data"][0] == "x" for reply in replies))
