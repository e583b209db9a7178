"""One module for each chapter of `docs/protocol.md`. Importing them registers their checks."""

from collections.abc import Sequence

from stepflow.testing.conformance._checks import (
    cancel,
    components,
    draining,
    envelope,
    execute,
    handshake,
    http,
    requests,
    sessions,
    stdio,
)
from stepflow.testing.conformance._http_worker import HttpWorker
from stepflow.testing.conformance._rule import COMMON, HTTP, STDIO, Check
from stepflow.testing.conformance._stdio_worker import StdioWorker

# In the order of the document.
_CHAPTERS = [
    chapter.__name__
    for chapter in (
        *(envelope, handshake, components, execute, requests),
        *(cancel, stdio, draining, http, sessions),
    )
]


def _chapter(check: Check[StdioWorker] | Check[HttpWorker]) -> int:
    return _CHAPTERS.index(check.run.__module__)


STDIO_CHECKS: Sequence[Check[StdioWorker]] = sorted((*COMMON, *STDIO), key=_chapter)
HTTP_CHECKS: Sequence[Check[HttpWorker]] = sorted((*COMMON, *HTTP), key=_chapter)
