"""On SIGTERM it answers its open executes and ends with 0. Its answers are its process id."""

import os
import signal
import sys

import wire

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
wire.greet(capabilities={"max_concurrency": 2})
for request in wire.executes():
    wire.answer(request, os.getpid())
