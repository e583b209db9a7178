"""Says some last words and dies in the first attempt, by the signal or exit status of its input; `always` is a reason
to die in every attempt. An input without `die` is answered with its attempt."""

import os
import sys

import wire

wire.greet()
for request in wire.executes():
    params = request["params"]
    dying = params["input"].get("die")
    if dying is not None and (params["attempt"] == 1 or params["input"].get("always")):
        print("the last words", file=sys.stderr, flush=True)
        if dying < 0:
            os.kill(os.getpid(), -dying)
        os._exit(dying)
    wire.answer(request, {"attempt": params["attempt"]})
