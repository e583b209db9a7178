"""Runs a plain function in a thread for an async component, and ends it as the worker ends a sync component."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeVar

from stepflow.worker._executing.executor import INTERRUPT_AFTER
from stepflow.worker._executing.forked import end_child
from stepflow.worker._executing.interruption import Interruption
from stepflow.worker._executing.threads import Threads
from stepflow.worker.errors import NoCapacity

T = TypeVar("T")

_threads = Threads()


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread and return what it returns. The caller limits how many run at once.

    When this is cancelled, the function has two seconds to end; then `Cancelled` is raised in it.
    In any case this returns only when the function has ended.
    """
    call = _Call(function)
    _threads.submit(call)
    try:
        await call.ended.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERRUPT_AFTER):
                await call.ended.wait()
        if not call.ended.is_set():
            call.interruption.interrupt()
            await call.ended.wait()
    return call.outcome()


class _Call(Generic[T]):
    def __init__(self, function: Callable[[], T]) -> None:
        self._function = partial(copy_context().run, function)
        self._loop = asyncio.get_running_loop()
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._pid = os.getpid()
        self.interruption = Interruption()
        self.ended = asyncio.Event()

    def run(self) -> None:
        try:
            self._values.append(self.interruption.call(self._function))
        except BaseException as error:  # noqa: BLE001, it is user code
            self._error = error
        if os.getpid() != self._pid:
            end_child(self._error)
        self._end()

    def refuse(self, problem: NoCapacity) -> None:
        self._error = problem
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            self._loop.call_soon_threadsafe(self.ended.set)

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._values[0]
