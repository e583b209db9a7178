"""Starts a child process that holds its pipes and would outlive it; dies on request."""

import os
import subprocess
import sys

import wire

grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
wire.greet()
for request in wire.executes():
    if request["params"]["input"] == "die":
        os._exit(3)
    wire.answer(request, grandchild.pid)
