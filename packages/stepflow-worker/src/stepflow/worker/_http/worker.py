"""What everything that is served over HTTP shares: the components, who runs them, and within which limits."""

import asyncio
import uuid
from dataclasses import dataclass, field

from stepflow.worker._executing.executor import Executor
from stepflow.worker._http.limits import Limits
from stepflow.worker._session import Served


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
