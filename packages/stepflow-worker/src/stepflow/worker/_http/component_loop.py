"""The event loop of async components. The transport has another one, which no component can block."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar

from stepflow.worker._executing.failures import type_name
from stepflow.worker._executing.forked import forget_loop, keep_loop_from_children
from stepflow.worker._executing.new_loop import new_loop

log = logging.getLogger("stepflow.worker")

T = TypeVar("T")


class ComponentThread:
    """An event loop in a separate thread, as a context manager."""

    def __init__(self) -> None:
        self.loop = new_loop()
        # A daemon: a component that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="stepflow-components", daemon=True)
        self._is_over = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self._begin_shutdown)
        # While a component blocks the loop, this waits, until `End` stops the process.
        self._thread.join()

    @asynccontextmanager
    async def entered(self, context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """Enter a context manager on that loop and exit it there, both in the same task."""
        value: Future[T] = Future()
        leave: Future[None] = Future()
        task: asyncio.Task[None] | None = None

        async def hold() -> None:
            nonlocal task
            task = asyncio.current_task()
            async with context as entered:
                value.set_result(entered)
                left = asyncio.wrap_future(leave)
                while not left.done():
                    with contextlib.suppress(
                        asyncio.CancelledError
                    ):  # a component cancels all tasks
                        await asyncio.wait((left,))

        async def interrupt() -> None:
            if value.done():
                leave.set_result(None)
            elif task is not None:
                task.cancel()

        holding = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(hold(), self.loop))
        entering = asyncio.wrap_future(value)
        try:
            await asyncio.wait((entering, holding), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # A coroutine: its first step comes after the first step of `hold`.
            asyncio.run_coroutine_threadsafe(interrupt(), self.loop)
            await asyncio.wait((holding,))
            raise
        try:
            if entering.done():
                yield entering.result()
        finally:
            leave.set_result(None)
            await asyncio.wait((holding,))
        holding.result()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        keep_loop_from_children(self.loop)
        try:
            while not self._is_over:
                self._run_once()
        finally:
            forget_loop(self.loop)
            self.loop.close()

    def _begin_shutdown(self) -> None:
        # Not with `create_task`: a component may have set its factory.
        self._shutting_down = asyncio.Task(self._shut_down(), loop=self.loop)

    async def _shut_down(self) -> None:
        """End the tasks, generators and threads that components left, as `asyncio.run` does."""
        try:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.loop.shutdown_asyncgens()
            await self.loop.shutdown_default_executor()
        finally:
            self._is_over = True
            self.loop.stop()

    def _run_once(self) -> None:
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            # A task that a component started has raised it. asyncio stops the loop for it, and then no other
            # component would be answered. The code that awaits the task gets the exception too.
            log.warning("a task raised %s: the components go on", type_name(error))
        else:
            if not self._is_over:
                log.warning("something has stopped the event loop: the components go on")
