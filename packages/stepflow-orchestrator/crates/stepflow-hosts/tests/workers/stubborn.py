"""Ends neither with its input nor by SIGTERM."""

import signal

import wire

signal.signal(signal.SIGTERM, signal.SIG_IGN)
wire.greet()
while True:
    signal.pause()
