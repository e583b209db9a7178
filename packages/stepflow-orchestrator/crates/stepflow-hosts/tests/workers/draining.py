"""The first process accepts nothing and leaves; the next one, told apart by a file, works."""

import os
import sys

import wire

wire.greet(capabilities={"max_concurrency": 2})
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    wire.refuse(wire.receive(), -32006, "draining")
    sys.exit(0)
for request in wire.executes():
    wire.answer(request, request["params"]["attempt"])
