"""Speaks JSON-RPC, and refuses the handshake."""

import sys

import wire

wire.refuse(wire.receive(), -32000, "not today")
sys.stdin.buffer.read()
