"""uvicorn's connections, with time limits for slow clients.

uvicorn limits only the time between two requests. A client that sends half a head, or stops reading,
would keep a socket and its buffers for ever.
"""

import asyncio
from typing import Protocol, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from stepflow.worker._executing.forked import forget, keep_from_children
from stepflow.worker._http.worker import Limits


class _Cycle(Protocol):
    """A request whose head has arrived."""

    response_complete: bool


class _Bounded(asyncio.Protocol):
    """A mixin for uvicorn's protocol class, with any of its parsers."""

    cycle: _Cycle | None
    limits: Limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._socket = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        # No other file gets the number before the loop closes the socket, after `connection_lost`.
        self._descriptor = transport.get_extra_info("socket").fileno()
        keep_from_children(self._descriptor)
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._close_without_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._close_without_head()  # the next head has begun, and is not complete
        elif self._head is not None:
            self._head.cancel()
            self._head = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._abort_when_stalled(self._socket.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        forget(self._descriptor)
        for timer in (self._head, self._stall):
            if timer is not None:
                timer.cancel()

    def _close_without_head(self) -> None:
        if self._head is None:
            self._head = self._loop.call_later(self.limits.head_seconds, self._socket.close)

    def _abort_when_stalled(self, unsent: int) -> None:
        def abort_without_progress() -> None:
            if (left := self._socket.get_write_buffer_size()) < unsent:
                self._abort_when_stalled(left)
            else:
                self._socket.abort()

        self._stall = self._loop.call_later(self.limits.stalled_seconds, abort_without_progress)


def protocol_class(limits: Limits) -> type[asyncio.Protocol]:
    """Return the class; uvicorn makes one instance for each connection."""
    return type("StepflowHttp", (_Bounded, AutoHTTPProtocol), {"limits": limits})
