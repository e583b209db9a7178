"""Makes the event loop for components: uvloop's, if the extra is installed."""

import asyncio
import os


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop. With `STEPFLOW_WORKER_UVLOOP=0` it is always asyncio's own."""
    if os.environ.get("STEPFLOW_WORKER_UVLOOP") != "0":
        try:
            import uvloop

            return uvloop.new_event_loop()
        except ImportError:
            pass
    return asyncio.new_event_loop()
