"""What everything that is served over HTTP shares: the components, who runs them, and within which limits."""

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

from stepflow.worker._executing.executor import Executor
from stepflow.worker._session import Served


class Limits(NamedTuple):
    """Bounds of the transport. The defaults are what is served; tests choose smaller ones."""

    head_seconds: float = 15.0
    """For a request's head to arrive, and how long a connection may say nothing at first."""
    idle_seconds: float = 120.0
    """How long a connection is kept between two requests: longer than clients keep theirs, so that
    it is they who close it and no request meets a closing door."""
    body_seconds: float = 30.0
    """For a body to arrive, to which each received 64 KiB adds a second."""
    body_bytes: int = 256 << 20
    """The longest body."""
    unread_seconds: float = 2.0
    """How long the client of a body that is too long may be silent before its connection is closed."""
    unsent_bytes: int = 64 << 20
    """What may wait for a client that does not read; a component's requests fail beyond it."""
    stalled_seconds: float = 60.0
    """How long a client may read nothing before its connection is given up."""
    keep_alive_seconds: float = 15.0
    """Between the comments on a silent stream."""
    resume_seconds: float = 30.0
    """How long a session, its executes and their answers wait for a client that has announced
    `resume`."""
    kept_bytes: int = 16 << 20
    """What the answers that a client has probably got may take meanwhile, in each session."""


@dataclass(slots=True)
class Worker:
    """One worker process."""

    served: Served
    """What is served; its state once there is one."""
    executor: Executor
    limits: Limits
    loop: asyncio.AbstractEventLoop
    """The transport's."""
    instance_id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    """Names this process: a load balancer leads answers back by it."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether the lifespan is entered. Until then all but the pages has to wait."""
    leaving: bool = False
    """Whether the streams of sessions end: one that begins now has nothing to wait for."""
