"""Runs executions on an event loop. They may be submitted from any thread."""

import asyncio
import sys
from asyncio import _get_running_loop
from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial

from stepflow.worker._components.component import Component
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.watchdog import LoopWatchdog


class ComponentLoop:
    """One event loop, and the executions on it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        components: Callable[[], Iterable[Component]],
        ended: Callable[[Execution], Callable[[], None] | None],
    ) -> None:
        """ended: called after each execution; returns what starts the next one, or None."""
        self._loop = loop
        self._ended = ended
        self._running: set[Execution] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.watchdog = LoopWatchdog(loop, components, lambda: bool(self._running))

    def submit(self, execution: Execution) -> None:
        """Run an execution: at once on the loop's own thread, otherwise as soon as the loop is free."""
        if _get_running_loop() is self._loop:
            self._start(execution)
        else:
            self._soon(self._start, execution)

    def cancel(self, execution: Execution) -> None:
        """Cancel an async execution, from any thread."""
        self._soon(Execution.cancel, execution)

    def _soon(self, call: Callable[[Execution], None], execution: Execution) -> None:
        try:
            self._loop.call_soon_threadsafe(call, execution)
        except RuntimeError:
            pass  # the loop is closed: the worker has ended

    def _start(self, execution: Execution) -> None:
        self._running.add(execution)
        self.watchdog.watch()
        if not execution.component.is_async:
            execution.begin()
            self._finish(execution)
            return
        task = _started(self._loop, self._run_async(execution), execution.variables)
        if not task.done():
            self._tasks.add(task)  # the loop itself holds tasks only weakly
            task.add_done_callback(partial(self._task_has_ended, execution))

    async def _run_async(self, execution: Execution) -> None:
        try:
            await execution.run_async()
        finally:
            # Not at the end of the task: if its coroutine is closed, the task never ends.
            self._finish(execution)

    def _task_has_ended(self, execution: Execution, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if execution in self._running:  # it was cancelled before it began
            execution.ended_by(asyncio.CancelledError())
            self._finish(execution)

    def _finish(self, execution: Execution) -> None:
        """Note that an execution has ended, and start the next one."""
        self._running.discard(execution)
        following = self._ended(execution)
        if following is not None:
            # Not called here: executions that end at once would nest without a limit.
            self._loop.call_soon(following)


def _started(
    loop: asyncio.AbstractEventLoop,
    coroutine: "asyncio._CoroutineLike[None]",
    variables: Context,
) -> "asyncio.Task[None]":
    # Not with `create_task`: a component may have set its factory.
    if sys.version_info >= (3, 12):
        # Eager: a component that never waits is answered without another turn of the loop.
        return asyncio.Task(coroutine, loop=loop, context=variables, eager_start=True)
    return asyncio.Task(coroutine, loop=loop, context=variables)
