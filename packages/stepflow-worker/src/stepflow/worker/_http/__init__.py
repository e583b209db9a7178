"""The HTTP transport, `stepflow-worker[http]`. Its dependencies are loaded only when it serves."""

import os

from stepflow.worker._http.listening import Address, require_loopback
from stepflow.worker._session import Serves
from stepflow.worker._stdio.streams import ProtocolStreams
from stepflow.worker.errors import CannotListen, ExtraMissing

HOST = "127.0.0.1"
PORT = "8080"


async def serve(
    server: Serves,
    streams: ProtocolStreams,
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    insecure: bool = False,
    max_concurrency: int | None = None,
    drain_timeout: float | None = None,
) -> list[str]:
    """Serve over HTTP until a signal arrives. The options are those of `run_http`.

    Returns the paths of the components that were still running when the drain timeout was over.
    Raises `OpenToOthers`, `ExtraMissing` and `CannotListen`.
    """
    address = Address(HOST if host is None else host, _default_port() if port is None else port)
    token = token or os.environ.get("STEPFLOW_WORKER_TOKEN")
    if not (token or insecure):
        require_loopback(address.host)
    try:
        from stepflow.worker._http.serving import serve_http
    except ModuleNotFoundError as error:
        raise ExtraMissing(error.name) from None
    return await serve_http(
        server,
        streams,
        address,
        token=token,
        insecure=insecure,
        max_concurrency=max_concurrency,
        drain_timeout=drain_timeout,
    )


def _default_port() -> int:
    # A server that starts this process sets the variable to 0: two workers cannot have one port.
    text = os.environ.get("STEPFLOW_WORKER_PORT") or PORT
    try:
        return int(text)
    except ValueError:
        raise CannotListen(HOST, text, ValueError("STEPFLOW_WORKER_PORT is not a number")) from None
