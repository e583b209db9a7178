"""The child of `floor`: a minimal JSON-RPC echo, on asyncio (`async`) or on threads (`sync`)."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading

import msgspec


def answer(line: bytes) -> bytes:
    """Return the answer to a line: its params are the result."""
    message = msgspec.json.decode(line)
    return (
        msgspec.json.encode({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]})
        + b"\n"
    )


async def echo_async() -> None:
    """Answer on the loop."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        os.write(1, answer(line))


def echo_sync() -> None:
    """Read on this thread; another thread answers."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def work() -> None:
        while (line := lines.get()) is not None:
            os.write(1, answer(line))

    worker = threading.Thread(target=work)
    worker.start()
    for line in sys.stdin.buffer:
        lines.put(line)
    lines.put(None)
    worker.join()


if __name__ == "__main__":
    if sys.argv[1] == "async":
        asyncio.run(echo_async())
    else:
        echo_sync()
