"""Speaks JSON-RPC, and refuses the handshake or announces an HTTP port, as its argument says."""

import sys

import wire

if sys.argv[1] == "http":
    wire.send({"port": 44661})
else:
    wire.refuse(wire.receive(), -32000, "not today")
sys.stdin.buffer.read()
