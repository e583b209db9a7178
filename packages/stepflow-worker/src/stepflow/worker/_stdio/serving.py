"""Serves components over stdin and stdout, until the server closes them or asks us to end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from stepflow.worker._components.component import Component
from stepflow.worker._executing.entering import entered
from stepflow.worker._executing.executor import Executor, default_limit
from stepflow.worker._session import Served, Session
from stepflow.worker._stdio.reading import Input, Line, ReadingThreads, read_on_loop
from stepflow.worker._stdio.streams import LineWriter, ProtocolStreams

if TYPE_CHECKING:
    from stepflow.worker._server import StepflowServer

EOF_GRACE = 5.0
SIGTERM_GRACE = 30.0


async def serve_stdio(
    server: "StepflowServer",
    streams: ProtocolStreams,
    *,
    max_concurrency: int | None = None,
    drain_timeout: float | None = None,
) -> list[str]:
    """Enter the lifespan and serve until the input ends or SIGTERM comes, then finish what is open.

    max_concurrency: how many executes run at once; by default a few more than there are CPUs,
    or 256 when all components are async.
    drain_timeout: how long open executes may go on, in seconds; by default 5 after the end of
    the input and 30 after SIGTERM.
    Returns the components that were still running when that time was over.
    """
    async with AsyncExitStack() as stack:
        served = await entered(stack, server.started())
        if served is None:
            return []
        return await _serve(served, streams, max_concurrency, drain_timeout)


async def _serve(
    served: Served,
    streams: ProtocolStreams,
    max_concurrency: int | None,
    drain_timeout: float | None,
) -> list[str]:
    loop = asyncio.get_running_loop()
    offered = served.components.values()
    threads = ReadingThreads()
    limit = max_concurrency or default_limit(offered)
    executor = Executor(loop, offered, limit, threads=threads)
    session = Session(served, executor)
    write = LineWriter(streams.output).write
    end = _End(loop, drain_timeout)

    def input_ended() -> None:
        session.close()
        end.input_ended()

    def receive(line: Line) -> None:
        session.receive(line, write)

    input = Input(streams.input, receive, input_ended)
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        # Not on Windows, and not off the main thread; there the end of the input is enough.
        loop.add_signal_handler(signal.SIGTERM, end.asked)
    if streams.is_terminal:
        _greet(served.components)
    on_loop = all(component.is_on_loop for component in offered) and read_on_loop(loop, input)
    if on_loop:
        # No component can stop the transport.
        executor.when_blocked(lambda: threads.read(input))
    else:
        threads.read(input)

    await end.began.wait()
    executor.drain()
    return await end.drained(executor)


class _End:
    """The end of serving: what brings it about, and how long it may take."""

    def __init__(self, loop: asyncio.AbstractEventLoop, drain_timeout: float | None) -> None:
        self._loop = loop
        self._drain_timeout = drain_timeout
        self._deadline: float | None = None
        self._wait: asyncio.Timeout | None = None
        self.began = asyncio.Event()

    def asked(self) -> None:
        """SIGTERM came."""
        self._within(SIGTERM_GRACE)

    def input_ended(self) -> None:
        """The server closed our input; called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: we have ended already
            self._loop.call_soon_threadsafe(self._within, EOF_GRACE)

    def _within(self, grace: float) -> None:
        grace = grace if self._drain_timeout is None else self._drain_timeout
        deadline = self._loop.time() + grace
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            if self._wait is not None:
                self._wait.reschedule(deadline)
        self.began.set()

    async def drained(self, executor: Executor) -> list[str]:
        """Wait until what is open has ended; the components of what has not, in time."""
        self._wait = asyncio.timeout_at(self._deadline)
        return await executor.drained(self._wait)


def _greet(components: Mapping[str, Component]) -> None:
    listed = "\n".join(f"  {path}" for path in components) or "  (no components)"
    print(
        f"serving over stdio:\n{listed}\nwaiting for a server: one JSON-RPC message per line, "
        f"{'Ctrl-Z' if os.name == 'nt' else 'Ctrl-D'} ends",
        file=sys.stderr,
    )
