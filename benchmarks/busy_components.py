"""Components that keep a worker busy, and tell when they begin and end by the file whose name they are given."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()

BURN_SECONDS = 0.5


@contextmanager
def ringing(path: str) -> Iterator[None]:
    """Hold a pipe open while the code runs: its reader sees the beginning and the end."""
    with open(path, "w") as bell:
        print("begun", file=bell, flush=True)
        yield


@server.component
def burn(input: str, context: StepflowContext) -> int:
    """Half a second of a CPU; leaves a line with its task."""
    with open(input, "a") as seen:
        print(context.task_id, file=seen)
    end = time.perf_counter() + BURN_SECONDS
    turns = 0
    while time.perf_counter() < end:
        turns += 1
    return turns


@server.component
async def sleep_async(input: str) -> None:
    """Wait for ever, on the loop."""
    with ringing(input):
        await asyncio.sleep(3600)


@server.component
def sleep_sync(input: str) -> None:
    """Wait for ever in C, where nothing of Python's reaches."""
    with ringing(input):
        time.sleep(3600)


@server.component
def spin(input: str) -> None:
    """Never return, in Python."""
    with ringing(input):
        while True:
            pass


@server.component
def neighbour(input: str) -> str:
    """Two seconds of innocent work."""
    with ringing(input):
        time.sleep(2)
    return "done"
