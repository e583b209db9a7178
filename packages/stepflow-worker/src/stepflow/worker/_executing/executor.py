"""Decides which executions run, and where. Above the limits they wait, in the order in which they came."""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from stepflow.protocol import ErrorCode
from stepflow.worker._components.component import Component
from stepflow.worker._executing.capacity import Capacity
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.failures import Ending
from stepflow.worker._executing.loops import ComponentLoop
from stepflow.worker._executing.threads import Threads
from stepflow.worker._executing.timers import Timers
from stepflow.worker.errors import NoCapacity

ASYNC_LIMIT = 256

MOST_WAITING = 256 << 20
"""The most that the inputs of waiting executes may take together, in bytes. No single message is longer."""

INTERRUPT_AFTER = 2.0
"""How long a sync component may go on after it was asked to end, in seconds."""


def default_limit(components: Iterable[Component]) -> int:
    """Return how many executions run at once by default: threads are expensive, coroutines are not."""
    if all(component.is_async for component in components):
        return ASYNC_LIMIT
    return usable_threads()


def usable_threads() -> int:
    """Return the useful number of threads: a few more than there are CPUs, as some of them wait."""
    affinity = getattr(os, "sched_getaffinity", None)
    usable_cpus = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(32, usable_cpus + 4)


class Executor:
    """Runs executions and knows which are open. Every method may be called from any thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        components: Callable[[], Iterable[Component]],
        limit: int,
        *,
        inline_loop: asyncio.AbstractEventLoop | None = None,
        threads: Threads | None = None,
    ) -> None:
        """loop: runs the async components.
        components: returns those that are served at the moment of the call.
        inline_loop: runs plain functions that are inline; by default `loop`.
        threads: run all other components.
        """
        self.limit = limit
        self.capacity = Capacity(limit)
        self.draining = False
        self._loop = ComponentLoop(loop, components, self._followed)
        self._inline_loop = self._loop
        if inline_loop is not None and inline_loop is not loop:
            self._inline_loop = ComponentLoop(inline_loop, components, self._followed)
        self._threads = threads or Threads()
        self._timers = Timers()
        self._lock = threading.Lock()
        self._open: set[Execution] = set()
        self._queue: deque[Execution] = deque()
        self._own_limits: dict[Component, _OwnLimit] = {}
        self._running = 0
        self._waiting = 0
        self._when_idle: Callable[[], object] | None = None

    def submit(self, execution: Execution) -> None:
        """Run an execution as soon as the limits allow it. When too much waits, it is refused."""
        if (milliseconds := execution.params.deadline_ms) is not None:
            self._end_after(milliseconds / 1000, "the time that its step had left", execution)
        with self._lock:
            self._open.add(execution)
            if self._admit(execution):
                problem = None
            elif self._waiting <= MOST_WAITING:
                return
            else:
                waiting = self._waiting >> 20
                self._withdraw(execution)
                problem = NoCapacity(f"inputs of {waiting} MiB wait for their turn already")
                idle = self._idle_callback()
        if problem is None:
            return self._launch(execution)
        execution.refuse(problem)
        if idle is not None:
            idle()

    def end(self, execution: Execution, ending: Ending) -> None:
        """Ask an execution to end. If it is waiting, it is answered at once. The first ending counts."""
        with self._lock:
            if execution not in self._open or execution.ending is not None:
                return
            execution.ending = ending
            was_waiting = self._withdraw(execution)
            idle = self._idle_callback()
        execution.told_to_end()
        if was_waiting:
            execution.give_up(ending)
            if idle is not None:
                idle()
        elif execution.component.is_async:
            self._loop_of(execution).cancel(execution)
        else:
            self._timers.after(INTERRUPT_AFTER, execution.interrupt)

    def pause(self, execution: Execution) -> None:
        """Do not count an execution until `resume`: it waits for a run that it submitted."""
        with self._lock:
            execution.waits += 1
            following = self._free_place(execution) if execution.waits == 1 else None
        if following is not None:
            self._launch(following)

    def resume(self, execution: Execution) -> None:
        """Count it again. It goes on at once, even when others have taken its place."""
        with self._lock:
            execution.waits -= 1
            if execution.waits == 0:
                self._running += 1
                if (own_limit := self._own_limit_of(execution)) is not None:
                    own_limit.running += 1

    def drain(self) -> None:
        """Have sessions refuse new executes; those that are open go on."""
        self.draining = True

    def abandon(self) -> None:
        """Do not wait for open executions any more: the worker ends now."""
        with self._lock:
            self.limit = 0  # no other execution starts when one ends
            for execution in self._open:
                execution.abandoned = True

    def open_components(self) -> list[str]:
        """Return the component path of each open execution."""
        with self._lock:
            return [execution.component.path for execution in self._open]

    def when_blocked(self, callback: Callable[[], bool]) -> None:
        """Call back, from any thread, each time a component blocks the loop, until it returns True."""
        self._loop.watchdog.when_blocked = callback

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call back, from any thread, once nothing is open; at once if nothing is open now."""
        with self._lock:
            self._when_idle = callback
            idle = self._idle_callback()
        if idle is not None:
            idle()

    def _launch(self, execution: Execution) -> None:
        if execution.component.is_on_loop:
            self._start_timeout(execution)
            self._loop_of(execution).submit(execution)
        else:
            self._threads.submit(_Work(self, execution))

    def _start_timeout(self, execution: Execution) -> None:
        if (seconds := execution.component.timeout) is not None:
            self._end_after(seconds, "its own timeout", execution)

    def _loop_of(self, execution: Execution) -> ComponentLoop:
        component = execution.component
        # An async component may use what the lifespan and other components have made on their loop.
        return self._loop if component.is_async else self._inline_loop

    def run_in_thread(self, execution: Execution) -> None:
        """Run an execution on this thread, and then those that follow it, if they are for threads."""
        following: Execution | None = execution
        while following is not None:
            if following.component.is_on_loop:
                return self._launch(following)
            self._start_timeout(following)
            following.begin()
            following = self._ended(following)

    def without_thread(self, execution: Execution, problem: NoCapacity) -> None:
        """Queue an execution for which there is no thread; refuse it when no other one is running."""
        following: Execution | None = execution
        while following is not None:
            if following.component.is_on_loop:
                return self._launch(following)
            with self._lock:
                # `_running` counts this one too. One that was asked to end must not wait again.
                if self._running > 1 and following.ending is None:
                    self._running -= 1
                    self._queue.appendleft(following)
                    self._waiting += _size(following)
                    return
            # It cannot wait for executions that wait for runs: it may be a part of such a run.
            following.refuse(problem)
            following = self._ended(following)

    def _followed(self, execution: Execution) -> Callable[[], None] | None:
        following = self._ended(execution)
        return None if following is None else partial(self._launch, following)

    def _end_after(self, seconds: float, what: str, execution: Execution) -> None:
        reason = f"`{execution.component.path}` did not end within {seconds:g} s, {what}"
        timer = self._timers.after(seconds, partial(self._timed_out, execution, reason))
        execution.timers = (*execution.timers, timer)

    def _timed_out(self, execution: Execution, reason: str) -> None:
        if waited_for := execution.unanswered():
            listed = ", ".join(f"`{method}`" for method in waited_for)
            reason = f"{reason}; the server had not answered its {listed}"
        self.end(execution, Ending(ErrorCode.TIMEOUT, reason))

    def _ended(self, execution: Execution) -> Execution | None:
        """Count an execution as ended, and return the one that takes its place."""
        with self._lock:
            self._open.discard(execution)
            following = self._free_place(execution)
            idle = self._idle_callback()
        if idle is not None:
            idle()
        return following

    def _admit(self, execution: Execution) -> bool:
        """Give an execution a place and return True; with no place free, queue it and return False."""
        own_limit = self._own_limit_of(execution)
        if own_limit is not None:
            if own_limit.running >= own_limit.limit:
                own_limit.queue.append(execution)
                self._waiting += _size(execution)
                return False
            own_limit.running += 1
        if self._running >= self.limit:
            self._queue.append(execution)
            self._waiting += _size(execution)
            return False
        self._running += 1
        return True

    def _free_place(self, execution: Execution) -> Execution | None:
        """Free the place of an execution, and return the one that may start now."""
        self._running -= 1
        self._free_own_limit(execution)
        if not self._queue or self._running >= self.limit:
            return None
        self._running += 1
        following = self._queue.popleft()
        self._waiting -= _size(following)
        return following

    def _free_own_limit(self, execution: Execution) -> None:
        own_limit = self._own_limit_of(execution)
        if own_limit is None:
            return
        own_limit.running -= 1
        if own_limit.queue and own_limit.running < own_limit.limit:
            own_limit.running += 1
            self._queue.append(own_limit.queue.popleft())
        if own_limit.running == 0:
            del self._own_limits[execution.component]  # its code may have been reloaded since

    def _withdraw(self, execution: Execution) -> bool:
        """Take an execution out of its queue and return True; return False when it does not wait."""
        own_limit = self._own_limits.get(execution.component)
        if own_limit is not None and execution in own_limit.queue:
            own_limit.queue.remove(execution)
        elif execution in self._queue:
            self._queue.remove(execution)
            self._free_own_limit(execution)
        else:
            return False
        self._waiting -= _size(execution)
        self._open.discard(execution)
        return True

    def _own_limit_of(self, execution: Execution) -> "_OwnLimit | None":
        component = execution.component
        if component.max_concurrency is None:
            return None
        own_limit = self._own_limits.get(component)
        if own_limit is None:
            own_limit = self._own_limits[component] = _OwnLimit(component.max_concurrency)
        return own_limit

    def _idle_callback(self) -> Callable[[], object] | None:
        return None if self._open else self._when_idle


def _size(execution: Execution) -> int:
    return memoryview(execution.params.input).nbytes


class _Work(NamedTuple):
    """A thread's job: an execution, and those that follow it."""

    executor: Executor
    execution: Execution

    def run(self) -> None:
        self.executor.run_in_thread(self.execution)

    def refuse(self, problem: NoCapacity) -> None:
        self.executor.without_thread(self.execution, problem)


class _OwnLimit:
    """The executions of one component with a `max_concurrency`: how many run, and which wait."""

    __slots__ = ("limit", "queue", "running")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.queue: deque[Execution] = deque()
