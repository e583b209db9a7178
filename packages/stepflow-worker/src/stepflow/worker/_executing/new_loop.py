"""The event loop that components get: uvloop's, where the extra is installed."""

import asyncio
import os


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop. `STEPFLOW_WORKER_UVLOOP=0` asks for Python's own in any case."""
    if os.environ.get("STEPFLOW_WORKER_UVLOOP") != "0":
        try:
            import uvloop

            return uvloop.new_event_loop()
        except ImportError:
            pass
    return asyncio.new_event_loop()
