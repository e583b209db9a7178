"""The components that the conformance checker asks for, so that it can try every rule."""

import asyncio
import builtins
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()


@dataclass
class Number:
    n: int


@dataclass
class Nap:
    seconds: float


@server.component(name="/conformance/echo")
async def echo(input: Any) -> Any:
    """Returns its input."""
    return input


@server.component(name="/conformance/double")
async def double(input: Number) -> Number:
    """Doubles `n`."""
    return Number(2 * input.n)


@server.component(name="/conformance/fail")
async def fail(input: str) -> None:
    """Fails with its input as the message."""
    raise ValueError(input)


@server.component(name="/conformance/bad_output")
async def bad_output(input: Any) -> Any:
    """Returns what has no JSON form."""
    return object()


@server.component(name="/conformance/sleep")
async def sleep(input: Nap) -> Nap:
    """Waits, and can be cancelled meanwhile."""
    await asyncio.sleep(input.seconds)
    return input


@server.component(name="/conformance/whoami")
async def whoami(input: Any, context: StepflowContext) -> dict[str, Any]:
    """Says which execute it runs for."""
    return {"attempt": context.attempt, "task_id": context.task_id}


@server.component(name="/conformance/blob")
async def blob(input: Any, context: StepflowContext) -> dict[str, Any]:
    """Puts its input as a blob, and gets it again."""
    blob_id = await context.put_blob(input)
    return {"blob_id": blob_id, "data": await context.get_blob(blob_id)}


@server.component(name="/conformance/sub_flow")
async def sub_flow(input: dict[str, Any], context: StepflowContext) -> Any:
    """Runs a flow that the server has, and returns its output."""
    return await context.evaluate_flow_by_id(input["flow_id"], input["input"])


@server.component(name="/conformance/noise")
def noise(input: str) -> str:
    """Prints, lets a child print, and reads what was meant for the worker if it can."""
    print(input)
    child = "import sys; print(sys.argv[1]); sys.stdin.read()"
    subprocess.run([sys.executable, "-c", child, input], check=True)
    with suppress(EOFError):
        builtins.input()
    return input
