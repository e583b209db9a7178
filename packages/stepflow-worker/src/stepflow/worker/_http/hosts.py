"""Keeps web pages out of a worker that is for this machine alone.

A page may have a name of its own lead to 127.0.0.1. To the browser the worker is then a part of that
page, which may send it anything and read the answer; only `Host` still tells.
"""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(64)  # a server sends the same one with every request
def is_local(host: str) -> bool:
    """Whether a `Host` header is one that no page can have: `localhost`, an address, or none."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name in ("", "localhost") or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
