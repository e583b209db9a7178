"""Leaves with 0 on SIGTERM, when it has answered what it had. Answers with the number of its process."""

import os
import signal
import sys

import wire

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
wire.greet(capabilities={"max_concurrency": 2})
for request in wire.executes():
    wire.answer(request, os.getpid())
