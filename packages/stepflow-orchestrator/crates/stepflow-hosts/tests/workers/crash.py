"""Writes a line to stderr and dies in the first attempt, by the signal or exit status in its input; with `always`
it dies in every attempt. An input without `die` is answered with the number of the attempt."""

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
