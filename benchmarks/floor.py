"""The machine's floor: what a JSON-RPC echo over a pipe to a Python child costs, without Stepflow.

Every figure of the other benchmarks is a ratio against one of these, measured in the same run: absolute times on a
shared machine mean little.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

ECHO_CHILD = Path(__file__).with_name("echo_child.py")
"""The child: `async` answers on its asyncio loop, `sync` from a worker thread that writes its own answer."""


class Echo:
    """A child that answers each line with its params."""

    def __init__(self, mode: str) -> None:
        self._child = subprocess.Popen(
            [sys.executable, str(ECHO_CHILD), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._calls = 0
        self.call()

    def call(self) -> None:
        """Send one request and wait for its answer."""
        self.calls(1)

    def calls(self, in_flight: int) -> None:
        """Write this many requests at once, and wait for all answers."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        lines = []
        for _ in range(in_flight):
            self._calls += 1
            message = {
                "jsonrpc": "2.0",
                "id": self._calls,
                "method": "echo",
                "params": {"input": {"n": self._calls}},
            }
            lines.append(msgspec.json.encode(message) + b"\n")
        os.write(self._child.stdin.fileno(), b"".join(lines))
        answered = 0
        while answered < in_flight:
            answered += os.read(self._child.stdout.fileno(), 1 << 16).count(b"\n")

    def close(self) -> None:
        """End the child."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()


@contextmanager
def echo(mode: str) -> Iterator[Echo]:
    """An echo child that ends with the block."""
    child = Echo(mode)
    try:
        yield child
    finally:
        child.close()


def latency(child: Echo, calls: int = 200) -> float:
    """Seconds per call with one in flight: R for an `async` child, Rt for a `sync` one."""
    begun = time.perf_counter()
    for _ in range(calls):
        child.call()
    return (time.perf_counter() - begun) / calls


def throughput(child: Echo, in_flight: int = 256, times: int = 8) -> float:
    """Seconds per call with 256 in flight: 1/P for an `async` child, 1/Pt for a `sync` one."""
    begun = time.perf_counter()
    for _ in range(times):
        child.calls(in_flight)
    return (time.perf_counter() - begun) / (in_flight * times)
