"""Serves components over stdin and stdout, until the server closes them or SIGTERM arrives."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

from stepflow.worker._components.component import Component
from stepflow.worker._executing.end import End
from stepflow.worker._executing.executor import Executor, default_limit
from stepflow.worker._executing.lifespan import entered
from stepflow.worker._session import Served, Serves, Session
from stepflow.worker._stdio.reading import Input, Line, ReadingThreads, read_on_loop
from stepflow.worker._stdio.streams import LineWriter, ProtocolStreams

EOF_GRACE = 5.0
"""How long open executes may go on after the end of the input, in seconds."""


async def serve_stdio(
    server: Serves,
    streams: ProtocolStreams,
    *,
    max_concurrency: int | None = None,
    drain_timeout: float | None = None,
) -> list[str]:
    """Enter the lifespan and serve until the input ends or SIGTERM arrives, then finish what is open.

    max_concurrency: how many executes run at once; by default a few more than there are CPUs,
    or 256 when all components are async.
    drain_timeout: how long open executes may go on, in seconds; by default 5 after the end of
    the input and 30 after SIGTERM.
    Returns the paths of the components that were still running when that time was over.
    """
    with End(drain_timeout, [signal.SIGTERM]) as end:
        async with AsyncExitStack() as stack:
            served = await entered(stack, server.started(), end)
            if served is None:
                return []
            return await _serve(served, streams, max_concurrency, end)


async def _serve(
    served: Served,
    streams: ProtocolStreams,
    max_concurrency: int | None,
    end: End,
) -> list[str]:
    loop = asyncio.get_running_loop()
    threads = ReadingThreads()
    limit = max_concurrency or default_limit(served.components.values())
    end.executor = executor = Executor(
        loop, lambda: served.components.values(), limit, threads=threads
    )
    session = Session(served, executor)
    write = LineWriter(streams.output).write

    def input_ended() -> None:
        session.close()
        end.end_within(EOF_GRACE)

    def receive(line: Line) -> None:
        session.receive(line, write)

    input = Input(streams.input, receive, input_ended)
    if streams.is_terminal:
        _print_greeting(served.components)
    all_on_loop = all(component.is_on_loop for component in served.components.values())
    if all_on_loop and read_on_loop(loop, input):
        # If a component blocks the loop, threads read instead.
        executor.when_blocked(lambda: threads.read(input) is None)
    elif (problem := threads.read(input)) is not None:
        raise problem

    return await end.drained(executor)


def _print_greeting(components: Mapping[str, Component]) -> None:
    listed = "\n".join(f"  {path}" for path in components) or "  (no components)"
    print(
        f"serving over stdio:\n{listed}\nwaiting for a server: one JSON-RPC message per line, "
        f"{'Ctrl-Z' if os.name == 'nt' else 'Ctrl-D'} ends",
        file=sys.stderr,
    )
