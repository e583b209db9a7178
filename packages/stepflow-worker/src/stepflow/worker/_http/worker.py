"""What all requests over HTTP share: the components, the executor and the limits."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

from stepflow.worker._executing.executor import Executor
from stepflow.worker._session import Served


class Limits(NamedTuple):
    """Limits of the transport. Workers use the defaults; tests choose smaller ones."""

    head_seconds: float = 15.0
    """How long the head of a request may take to arrive, also the first on a new connection."""
    idle_seconds: float = 120.0
    """How long a connection is kept open between two requests. Clients close theirs earlier, so no
    request is sent on a connection that is being closed."""
    body_seconds: float = 30.0
    """How long a body may take to arrive; each received 64 KiB adds a second."""
    body_bytes: int = 256 << 20
    """The longest body that is accepted."""
    unread_seconds: float = 2.0
    """How long a client that sends a longer body may be silent before its connection is closed."""
    unsent_bytes: int = 64 << 20
    """How much may wait for a client that does not read; above it, a component's requests fail."""
    stalled_seconds: float = 60.0
    """How long a client may read nothing before its connection is closed."""
    keep_alive_seconds: float = 15.0
    """The time between two comments on a silent stream."""
    resume_seconds: float = 30.0
    """How long a session, its executes and their answers wait for a client that has announced
    `resume`."""
    kept_bytes: int = 16 << 20
    """How much memory the answers that were sent may take in each session, until then."""


@dataclass(slots=True)
class Worker:
    """One worker process."""

    served: Served
    """What is served; with the lifespan's state once `ready` is set."""
    executor: Executor
    limits: Limits
    loop: asyncio.AbstractEventLoop
    """The transport's event loop."""
    instance_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    """Names this process: a load balancer uses it to send answers to the right one."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the lifespan is entered. Until then everything except the pages waits."""
    leaving: bool = False
    """Whether the worker ends: a stream of a session that begins now ends at once."""
