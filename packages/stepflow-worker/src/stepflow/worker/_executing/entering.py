"""Enters the lifespan. SIGTERM may interrupt that, as Ctrl-C does: what was taken is given back."""

import asyncio
import contextlib
import signal
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

T = TypeVar("T")


async def entered(stack: AsyncExitStack, context: AbstractAsyncContextManager[T]) -> T | None:
    """Enter a context manager on a stack; nothing is returned when SIGTERM comes meanwhile."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked = False

    def ask() -> None:
        nonlocal asked
        asked = True
        loop.remove_signal_handler(signal.SIGTERM)  # the next one ends at once
        if task is not None:
            task.cancel()

    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        # Not on Windows, and not off the main thread; there whoever runs us cancels us.
        loop.add_signal_handler(signal.SIGTERM, ask)
    try:
        value = await stack.enter_async_context(context)
    except asyncio.CancelledError:
        if not asked:
            raise
        return None
    finally:
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGTERM)
    return None if asked else value
