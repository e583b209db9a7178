"""Which executions run, and where: no more than the limits at once, the others in the order they came."""

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
"""What the inputs of executes that wait may take together, in bytes. One may always wait: no message is longer."""

INTERRUPT_AFTER = 2.0
"""How long a sync component may go on after it was asked to end, in seconds."""


def default_limit(components: Iterable[Component]) -> int:
    """How many executions a worker takes at once: threads are dear, waiting coroutines are not."""
    if all(component.is_async for component in components):
        return ASYNC_LIMIT
    return usable_threads()


def usable_threads() -> int:
    """How many threads are worth having: a few more than there are CPUs, as some of them wait."""
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
        """components: those that are served now, whenever that is asked.

        `loop` is for async components, and `inline_loop`, by default the same, for plain functions
        that are inline; `threads` are for the rest."""
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
        self._gates: dict[Component, _Gate] = {}
        self._running = 0
        self._waiting = 0
        self._when_idle: Callable[[], object] | None = None

    def submit(self, execution: Execution) -> None:
        """Run an execution as soon as the limits allow."""
        if (milliseconds := execution.params.deadline_ms) is not None:
            self._end_after(milliseconds / 1000, "the time that its step had left", execution)
        with self._lock:
            self._open.add(execution)
            if self._is_let_in(execution):
                problem = None
            elif self._waiting <= MOST_WAITING:
                return
            else:
                waiting = self._waiting >> 20
                self._is_withdrawn(execution)
                problem = NoCapacity(f"inputs of {waiting} MiB wait for their turn already")
                idle = self._idle_callback()
        if problem is None:
            return self._launch(execution)
        execution.refuse(problem)
        if idle is not None:
            idle()

    def end(self, execution: Execution, ending: Ending) -> None:
        """Ask an execution to end. One that waits is answered at once; the first ending counts."""
        with self._lock:
            if execution not in self._open or execution.ending is not None:
                return
            execution.ending = ending
            was_waiting = self._is_withdrawn(execution)
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
        """An execution waits for a run of its own, and does not count until `resume`."""
        with self._lock:
            execution.waits += 1
            following = self._leave(execution) if execution.waits == 1 else None
        if following is not None:
            self._launch(following)

    def resume(self, execution: Execution) -> None:
        """It counts again, and goes on at once, even when others have taken its place."""
        with self._lock:
            execution.waits -= 1
            if execution.waits == 0:
                self._running += 1
                if (gate := self._gate_of(execution)) is not None:
                    gate.running += 1

    def drain(self) -> None:
        """Have sessions refuse new executes; those that are open go on."""
        self.draining = True

    def abandon(self) -> None:
        """The worker ends now: what is open is not waited for."""
        with self._lock:
            self.limit = 0  # nothing follows what ends now
            for execution in self._open:
                execution.abandoned = True

    def open_components(self) -> list[str]:
        """The components of what is open."""
        with self._lock:
            return [execution.component.path for execution in self._open]

    def when_blocked(self, callback: Callable[[], bool]) -> None:
        """Call back, from any thread, when a component blocks the loop, until that was of use."""
        self._loop.watchdog.when_blocked = callback

    def when_idle(self, callback: Callable[[], object]) -> None:
        """Call back, from any thread, once nothing is open; at once if that is so now."""
        with self._lock:
            self._when_idle = callback
            idle = self._idle_callback()
        if idle is not None:
            idle()

    def _launch(self, execution: Execution) -> None:
        if execution.component.is_on_loop:
            self._arm(execution)
            self._loop_of(execution).submit(execution)
        else:
            self._threads.submit(_Work(self, execution))

    def _arm(self, execution: Execution) -> None:
        if (seconds := execution.component.timeout) is not None:
            self._end_after(seconds, "its own timeout", execution)

    def _loop_of(self, execution: Execution) -> ComponentLoop:
        component = execution.component
        # Whatever awaits must find what the lifespan and other components have made on their loop.
        return self._loop if component.is_async else self._inline_loop

    def work_off(self, execution: Execution) -> None:
        """Run an execution on this thread, and those that follow it while they are for threads."""
        following: Execution | None = execution
        while following is not None:
            if following.component.is_on_loop:
                return self._launch(following)
            self._arm(following)
            following.begin()
            following = self._ended(following)

    def do_without(self, execution: Execution, problem: NoCapacity) -> None:
        """There is no thread for an execution: it follows one that runs, or is refused when none does."""
        following: Execution | None = execution
        while following is not None:
            if following.component.is_on_loop:
                return self._launch(following)
            with self._lock:
                # It has a place itself. One that was asked to end is not asked again.
                if self._running > 1 and following.ending is None:
                    self._running -= 1
                    self._queue.appendleft(following)
                    self._waiting += _size(following)
                    return
            # Those that wait for runs may wait for one that this execution is a part of.
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
            following = self._leave(execution)
            idle = self._idle_callback()
        if idle is not None:
            idle()
        return following

    def _is_let_in(self, execution: Execution) -> bool:
        gate = self._gate_of(execution)
        if gate is not None:
            if gate.running >= gate.limit:
                gate.queue.append(execution)
                self._waiting += _size(execution)
                return False
            gate.running += 1
        if self._running >= self.limit:
            self._queue.append(execution)
            self._waiting += _size(execution)
            return False
        self._running += 1
        return True

    def _leave(self, execution: Execution) -> Execution | None:
        """Give an execution's place away, and return the one that may start now."""
        self._running -= 1
        self._leave_gate(execution)
        if not self._queue or self._running >= self.limit:
            return None
        self._running += 1
        following = self._queue.popleft()
        self._waiting -= _size(following)
        return following

    def _leave_gate(self, execution: Execution) -> None:
        gate = self._gate_of(execution)
        if gate is None:
            return
        gate.running -= 1
        if gate.queue and gate.running < gate.limit:
            gate.running += 1
            self._queue.append(gate.queue.popleft())
        if gate.running == 0:
            del self._gates[execution.component]  # which may be of code that was reloaded

    def _is_withdrawn(self, execution: Execution) -> bool:
        gate = self._gates.get(execution.component)
        if gate is not None and execution in gate.queue:
            gate.queue.remove(execution)
        elif execution in self._queue:
            self._queue.remove(execution)
            self._leave_gate(execution)
        else:
            return False
        self._waiting -= _size(execution)
        self._open.discard(execution)
        return True

    def _gate_of(self, execution: Execution) -> "_Gate | None":
        component = execution.component
        if component.max_concurrency is None:
            return None
        gate = self._gates.get(component)
        if gate is None:
            gate = self._gates[component] = _Gate(component.max_concurrency)
        return gate

    def _idle_callback(self) -> Callable[[], object] | None:
        return None if self._open else self._when_idle


def _size(execution: Execution) -> int:
    return memoryview(execution.params.input).nbytes


class _Work(NamedTuple):
    """An execution for a thread, and those that follow it."""

    executor: Executor
    execution: Execution

    def run(self) -> None:
        self.executor.work_off(self.execution)

    def refuse(self, problem: NoCapacity) -> None:
        self.executor.do_without(self.execution, problem)


class _Gate:
    """The executions of one component that has a limit of its own."""

    __slots__ = ("limit", "queue", "running")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.running = 0
        self.queue: deque[Execution] = deque()
