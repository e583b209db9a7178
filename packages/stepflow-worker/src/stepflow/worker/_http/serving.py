"""Serves components over HTTP until a signal arrives, and then until the open executes have ended."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import uvicorn

from stepflow.worker._components.component import Component
from stepflow.worker._executing.end import End
from stepflow.worker._executing.executor import Executor, default_limit
from stepflow.worker._executing.lifespan import entered
from stepflow.worker._http.app import application
from stepflow.worker._http.asgi import App
from stepflow.worker._http.component_loop import ComponentThread
from stepflow.worker._http.connections import protocol_class
from stepflow.worker._http.listening import Address, listener
from stepflow.worker._http.sessions import Sessions
from stepflow.worker._http.worker import Limits, Worker
from stepflow.worker._session import Served, Serves
from stepflow.worker._stdio.streams import ProtocolStreams

log = logging.getLogger("stepflow.worker")

LAST_ANSWERS = 5
"""How long clients may take to read the last answers, in seconds."""


async def serve_http(
    what: Serves,
    streams: ProtocolStreams,
    address: Address,
    *,
    token: str | None = None,
    insecure: bool = False,
    max_concurrency: int | None = None,
    drain_timeout: float | None = None,
    limits: Limits | None = None,
) -> list[str]:
    """Serve until SIGTERM or SIGINT arrives, then finish the open executes.

    Writes `{"port": N}` to the protocol's output once it listens.
    Returns the paths of the components that were still running when the drain timeout was over.
    Raises `CannotListen`.
    """
    loop = asyncio.get_running_loop()
    limits = limits or Limits()

    def components() -> Iterable[Component]:
        return what.served().components.values()

    with (
        End(drain_timeout, [signal.SIGTERM, signal.SIGINT]) as end,
        listener(address) as listening,
        ComponentThread() as thread,
    ):
        end.loops.append(thread.loop)
        limit = max_concurrency or default_limit(components())
        end.executor = executor = Executor(thread.loop, components, limit, inline_loop=loop)
        worker = Worker(what.served(), executor, limits, loop)
        sessions = Sessions(worker)
        own_name = None if token or insecure else address.host
        app = application(worker, sessions, token, own_name=own_name)
        http = _Uvicorn(_config(app, limits))
        async with http.serving(listening):
            _announce(listening.getsockname()[1], worker.served, streams, address)
            async with AsyncExitStack() as stack:
                live = await entered(stack, thread.entered(what.started()), end)
                if live is None:
                    return []
                worker.served = live
                worker.ready.set()
                unfinished = await end.drained(executor)
                http.force_exit = bool(unfinished)
            sessions.close()
        return unfinished


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: the worker goes on serving for a while after a signal."""

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve during the block. After it clients may read the last answers, unless `force_exit`."""
        self.force_exit = True  # for a block that fails
        serving = asyncio.create_task(self.serve([listener]))
        try:
            yield
        finally:
            if self.force_exit and self.server_state.tasks:
                self.config.timeout_graceful_shutdown = 0
            self.should_exit = True
            await serving

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: App, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_class(limits),
        ws="none",
        lifespan="off",
        workers=1,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=LAST_ANSWERS,
    )


def _announce(port: int, served: Served, streams: ProtocolStreams, address: Address) -> None:
    try:
        os.write(streams.output, json.dumps({"port": port}).encode() + b"\n")
    except OSError as error:
        log.warning("nobody could be told the port %d: %s", port, error)
    if streams.is_terminal:
        listed = "\n".join(f"  {path}" for path in served.components) or "  (no components)"
        print(f"serving over HTTP at {address.url(port)}:\n{listed}\nCtrl-C ends", file=sys.stderr)
