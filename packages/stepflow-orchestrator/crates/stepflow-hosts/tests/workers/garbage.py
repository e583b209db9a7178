"""Prints between its messages what any program may print: text, numbers, JSON that is not a message, bad UTF-8."""

import sys

import wire


def litter():
    sys.stdout.buffer.write(
        b'hello\n\n3\n{"level": "info"}\n[1]\n\xff\xfe\n{"id": 99, "result": {}}\n{"broken\n'
    )
    sys.stdout.buffer.flush()


litter()
wire.greet()
for request in wire.executes():
    litter()
    wire.answer(request, request["params"]["input"])
    litter()
