"""Waits for as many executes as it announced, then answers the last one first."""

import wire

wire.greet(capabilities={"max_concurrency": 4})
while True:
    requests = [wire.receive() for _ in range(4)]
    for request in reversed(requests):
        wire.answer(request, request["params"]["input"])
