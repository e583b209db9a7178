"""The first process accepts nothing and ends; the next one works. A file tells them apart. With `--always`, no
process accepts anything."""

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
