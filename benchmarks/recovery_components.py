"""Components for `recovery.py`: one that answers, and one that waits until its server has been killed."""

import os
import time

from stepflow.worker import StepflowContext, StepflowServer

server = StepflowServer()
log = os.environ.get("RECOVERY_LOG")
"""Where the restarted server's worker writes the times of its executes; without it they wait."""

times = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if log else None


@server.component
async def quick(input: int) -> int:
    return input + 1


@server.component
async def held(input: int, context: StepflowContext) -> int:
    if times is None:
        await context.wait_cancelled()
    else:
        os.write(times, f"{time.monotonic()}\n".encode())
    return input + 1
