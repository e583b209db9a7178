"""`poison` ends the process in every attempt. Anything else is answered from its second attempt on; its first attempt
waits until a poison ends the process."""

import os

import wire

wire.greet(capabilities={"max_concurrency": 16})
for request in wire.executes():
    if request["params"]["input"] == "poison":
        os._exit(3)
    if request["params"]["attempt"] > 1:
        wire.answer(request, request["params"]["input"])
