"""The first process accepts nothing and leaves; the next one, told apart by a file, works, unless none shall."""

import sys

import wire

wire.greet(capabilities={"max_concurrency": 2})
with open(sys.argv[1], "a") as lives:
    is_first = lives.tell() == 0
    lives.write(".")
if is_first or "--always" in sys.argv:
    wire.refuse(wire.receive(), -32006, "draining")
    sys.exit(0)
for request in wire.executes():
    wire.answer(request, request["params"]["attempt"])
