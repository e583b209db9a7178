"""Where executions run: sync ones in threads, async ones on the loop, no more than the limit at once."""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable

from stepflow.worker._component import Component
from stepflow.worker._execution import Execution
from stepflow.worker._reading import ReadingThreads
from stepflow.worker._watchdog import LoopWatchdog

ASYNC_LIMIT = 256


def default_limit(components: Iterable[Component]) -> int:
    """How many executions a worker takes at once: threads are dear, waiting coroutines are not."""
    if all(component.is_async for component in components):
        return ASYNC_LIMIT
    affinity = getattr(os, "sched_getaffinity", None)
    usable_cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(32, usable_cpus + 4)


class Executor:
    """Runs executions and knows which are open. `submit` may be called from any thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, components: Iterable[Component], limit: int
    ) -> None:
        """Made on the loop's own thread."""
        self.limit = limit
        self.has_sync = not all(component.is_async for component in components)
        self.threads = ReadingThreads(self._work_off)
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._tasks: set[asyncio.Task[None]] = set()
        paths = {each.code: each.path for each in components if each.code is not None}
        self._watchdog = LoopWatchdog(loop, paths, lambda: self._async_running > 0)
        self._async_running = 0
        self._lock = threading.Lock()
        self._open: set[Execution] = set()
        self._waiting: deque[Execution] = deque()
        self._running = 0
        self._when_idle: Callable[[], None] | None = None

    def submit(self, execution: Execution) -> None:
        """Run an execution as soon as the limit allows."""
        with self._lock:
            self._open.add(execution)
            if self._running >= self.limit:
                self._waiting.append(execution)
                return
            self._running += 1
        self._launch(execution)

    def open_paths(self) -> list[str]:
        """The components of all executions that are not answered yet."""
        with self._lock:
            return [execution.component.path for execution in self._open]

    def when_idle(self, callback: Callable[[], None]) -> None:
        """Call back, from any thread, once nothing is open; at once if that is so now."""
        with self._lock:
            self._when_idle = callback
            idle = not self._open
        if idle:
            callback()

    def when_blocked(self, callback: Callable[[], None]) -> None:
        """Call back once, from any thread, when a component blocks the loop."""
        self._watchdog.when_blocked = callback

    def _launch(self, execution: Execution) -> None:
        if not execution.component.is_async:
            self.threads.submit(execution)
            return
        if threading.get_ident() == self._loop_thread:
            self._start(execution)
            return
        try:
            self._loop.call_soon_threadsafe(self._start, execution)
        except RuntimeError:
            pass  # the loop is closed: the worker has ended

    def _start(self, execution: Execution) -> None:
        self._async_running += 1
        self._watchdog.watch()
        task = _started(self._loop, self._run_async(execution))
        if not task.done():
            self._tasks.add(task)  # the loop itself holds tasks only weakly
            task.add_done_callback(self._tasks.discard)

    async def _run_async(self, execution: Execution) -> None:
        try:
            await execution.run_async()
        finally:
            self._async_running -= 1
        if (following := self._next_after(execution)) is not None:
            self._launch(following)

    def _work_off(self, execution: Execution) -> None:
        following: Execution | None = execution
        while following is not None:
            execution = following
            execution.run()
            following = self._next_after(execution)
            if following is not None and following.component.is_async:
                self._launch(following)
                following = None

    def _next_after(self, execution: Execution) -> Execution | None:
        """Count an execution as ended, and return the one that takes its place."""
        with self._lock:
            self._open.discard(execution)
            if self._waiting:
                return self._waiting.popleft()
            self._running -= 1
            callback = None if self._open else self._when_idle
        if callback is not None:
            callback()
        return None


if sys.version_info >= (3, 12):

    def _started(
        loop: asyncio.AbstractEventLoop, coroutine: "asyncio._CoroutineLike[None]"
    ) -> "asyncio.Task[None]":
        # Eager: a component that never really waits is answered without another turn of the loop.
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _started(
        loop: asyncio.AbstractEventLoop, coroutine: "asyncio._CoroutineLike[None]"
    ) -> "asyncio.Task[None]":
        return loop.create_task(coroutine)
