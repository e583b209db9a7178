"""Refuses requests that a web page of another origin has sent.

A browser lets every page send requests to this machine, and the host name of a page can be made to
resolve to 127.0.0.1. The headers that no page can choose show this: `Host`, `Origin`, `Sec-Fetch-*`.
"""

import ipaddress
import re
from functools import lru_cache

from stepflow.worker._http.asgi import Refused, Scope

_WITH_PORT = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(:\d{1,5})?")

_WRONG_HOST = Refused(
    403,
    "without a token this worker is called by `localhost`, by an address or by the name given to "
    "`--host`, else any web page could reach it; for another name give it STEPFLOW_WORKER_TOKEN or "
    "`--token`, or `--insecure`",
)
_OTHER_ORIGIN = Refused(403, "web pages of other origins may not use this worker")


def refusal(scope: Scope, own_name: str | None) -> Refused | None:
    """Return the refusal of a request that a page of another origin may have sent, or None.

    own_name: the host name that requests may use besides `localhost` and IP addresses; None allows
    every name.
    """
    host = site = destination = b""
    origin: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"host":
            if host and host != value:
                return _WRONG_HOST
            host = value
        elif name == b"origin":
            origin = value
        elif name == b"sec-fetch-site":
            site = value
        elif name == b"sec-fetch-dest":
            destination = value
    if own_name is not None and not _is_allowed_host(host.decode("latin-1"), own_name):
        return _WRONG_HOST
    if origin is not None:  # an empty one is refused too
        is_own = origin.partition(b"://")[2].lower() == host.lower()
        return None if is_own else _OTHER_ORIGIN
    if site in (b"cross-site", b"same-site"):
        # A person may follow a link to this worker.
        follows_link = scope["method"] == "GET" and destination == b"document"
        return None if follows_link else _OTHER_ORIGIN
    return None


@lru_cache(64)  # a server sends the same one with every request
def _is_allowed_host(host: str, own_name: str) -> bool:
    """Whether a `Host` header is a name that no page can have, or the worker's own name."""
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
