"""Enters the lifespan. A signal may interrupt that, as Ctrl-C does, and its `finally` blocks run."""

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

from stepflow.worker._executing.end import End

T = TypeVar("T")


async def entered(
    stack: AsyncExitStack, context: AbstractAsyncContextManager[T], end: End
) -> T | None:
    """Enter a context manager on a stack and return its value; None when the end begins meanwhile."""
    task = asyncio.current_task()
    assert task is not None

    async def interrupt() -> None:
        await end.began.wait()
        task.cancel()

    # It is cancelled below before any other task runs, so it cannot cancel code after the entry.
    interrupting = asyncio.create_task(interrupt())
    try:
        value = await stack.enter_async_context(context)
    except asyncio.CancelledError:
        if not end.has_begun:
            raise
        return None
    finally:
        interrupting.cancel()
    return None if end.has_begun else value
