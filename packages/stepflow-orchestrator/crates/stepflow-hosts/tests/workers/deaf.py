"""Closes its stdin after the first execute, answers it, and does not end."""

import os
import signal

import wire

wire.greet()
request = wire.receive()
os.close(0)
wire.answer(request, None)
signal.pause()
