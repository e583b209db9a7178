"""Enters the lifespan. SIGTERM may interrupt that, as Ctrl-C does: what was taken is given back."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import TypeVar

T = TypeVar("T")


async def entered(stack: AsyncExitStack, context: AbstractAsyncContextManager[T]) -> T | None:
    """Enter a context manager on a stack; nothing is returned when SIGTERM comes meanwhile."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the next one ends at once
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    with _on_sigterm(ask):
        try:
            value = await stack.enter_async_context(context)
        except asyncio.CancelledError:
            if not asked:
                raise
            return None
    return None if asked else value


@contextmanager
def _on_sigterm(handler: Callable[..., None]) -> Iterator[None]:
    # Not by the loop, which could not call it while what is entered blocks.
    if threading.current_thread() is not threading.main_thread():
        yield  # whoever runs us cancels us
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
