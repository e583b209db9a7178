"""Keeps web pages out of a worker.

A browser lets every page send requests to this machine, and a page may have a name of its own lead
to 127.0.0.1. Only headers that no page can choose tell that: `Host`, `Origin`, `Sec-Fetch-*`.
"""

import ipaddress
import re
from functools import lru_cache

from stepflow.worker._http.asgi import Refused, Scope

_WITH_PORT = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(:\d{1,5})?")

_OTHER_NAME = Refused(
    403,
    "without a token this worker is called by `localhost`, by an address or by the name given to "
    "`--host`, else any web page could reach it; for another name give it STEPFLOW_WORKER_TOKEN or "
    "`--token`, or `--insecure`",
)
_OTHER_PAGE = Refused(403, "web pages of other origins may not use this worker")


def refusal(scope: Scope, own_name: str | None) -> Refused | None:
    """Return why a request is refused that a web page of somebody else may have sent.

    own_name: how it may be called besides `localhost` and addresses; None for any name.
    """
    host = site = destination = b""
    origin: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"host":
            if host and host != value:
                return _OTHER_NAME
            host = value
        elif name == b"origin":
            origin = value
        elif name == b"sec-fetch-site":
            site = value
        elif name == b"sec-fetch-dest":
            destination = value
    if own_name is not None and not _is_called(host.decode("latin-1"), own_name):
        return _OTHER_NAME
    if origin is not None:  # an empty one is no page of ours, either
        is_own = origin.partition(b"://")[2].lower() == host.lower()
        return None if is_own else _OTHER_PAGE
    if site in (b"cross-site", b"same-site"):
        # A link to here that a person follows is fine.
        follows_link = scope["method"] == "GET" and destination == b"document"
        return None if follows_link else _OTHER_PAGE
    return None


@lru_cache(64)  # a server sends the same one with every request
def _is_called(host: str, own_name: str) -> bool:
    """Whether a `Host` header is one that no page can have, or the worker's own."""
    parts = _WITH_PORT.fullmatch(host.lower())
    if parts is None:
        return False
    name = parts["name"]
    if name in ("", "localhost", own_name.lower()):
        return True
    try:
        return bool(ipaddress.ip_address(name[1:-1] if name.startswith("[") else name))
    except ValueError:
        return False
