"""Opens the socket on which the transport listens, and refuses addresses that are open to other machines."""

import ipaddress
import os
import socket
from typing import NamedTuple

from stepflow.worker._executing.forked import keep_from_children
from stepflow.worker.errors import CannotListen, OpenToOthers, SeveralProcesses

BACKLOG = 2048


class Address(NamedTuple):
    """A place to listen; with port 0 the system chooses one."""

    host: str
    port: int

    def url(self, port: int) -> str:
        """Return the URL for the port that was chosen."""
        return f"http://[{self.host}]:{port}" if ":" in self.host else f"http://{self.host}:{port}"


def listener(address: Address) -> socket.socket:
    """Return a socket that listens.

    Raises `CannotListen`. Raises `SeveralProcesses` when WEB_CONCURRENCY asks uvicorn for more than
    one process: a session is known to one process, and a connection may reach any of them.
    """
    asked = os.environ.get("WEB_CONCURRENCY", "1")
    if asked not in ("", "1"):
        raise SeveralProcesses(asked)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # The protocol is given explicitly: otherwise asyncio does not send small answers at once.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two programs have the same port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
        keep_from_children(listening.fileno())
    except (OSError, OverflowError) as error:
        listening.close()
        raise CannotListen(*address, error) from None
    return listening


def require_loopback(host: str) -> None:
    """Raise `OpenToOthers` for an address that other machines may reach."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Any other name can resolve to any address.
        loopback = host == "localhost"
    if not loopback:
        raise OpenToOthers(host)
