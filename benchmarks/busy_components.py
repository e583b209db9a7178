"""Components that keep a worker busy. They write to a file or pipe when they begin, and close it when they end."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()

BURN_SECONDS = 0.5


@contextmanager
def open_pipe(path: str) -> Iterator[None]:
    """Keep a pipe open during the block: its reader notices the beginning and the end."""
    with open(path, "w") as pipe:
        print("begun", file=pipe, flush=True)
        yield


@server.component
def burn(input: str, context: StepflowContext) -> int:
    """Use half a second of CPU time; append the task's id to a file."""
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
    with open_pipe(input):
        await asyncio.sleep(3600)


@server.component
def sleep_sync(input: str) -> None:
    """Wait for ever in C code, which Python cannot interrupt."""
    with open_pipe(input):
        time.sleep(3600)


@server.component
def spin(input: str) -> None:
    """Run for ever in Python code."""
    with open_pipe(input):
        while True:
            pass


@server.component
def neighbour(input: str) -> str:
    """Work for two seconds, undisturbed."""
    with open_pipe(input):
        time.sleep(2)
    return "done"
