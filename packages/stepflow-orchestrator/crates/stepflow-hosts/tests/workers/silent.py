"""Reads and never answers."""

import sys

print("busy with something else", file=sys.stderr, flush=True)
for _ in sys.stdin.buffer:
    pass
