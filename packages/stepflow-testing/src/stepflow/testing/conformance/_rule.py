"""Registers checks under the ids of their rules."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from stepflow.testing.conformance._http_worker import HttpWorker
from stepflow.testing.conformance._stdio_worker import StdioWorker
from stepflow.testing.conformance._worker import Worker

W_contra = TypeVar("W_contra", contravariant=True)


@dataclass(frozen=True)
class Check(Generic[W_contra]):
    """A rule and the function that checks it."""

    rule: str
    says: str
    run: Callable[[W_contra], None]
    fresh: bool
    """Whether it needs a worker that has received no message yet."""


COMMON: list[Check[Worker]] = []
"""The checks for all workers."""
STDIO: list[Check[StdioWorker]] = []
"""The checks that are only for workers over stdio."""
HTTP: list[Check[HttpWorker]] = []
"""The checks that are only for workers over HTTP."""


class _Registers(Generic[W_contra]):
    """A decorator that adds checks to a list."""

    def __init__(self, checks: list[Check[W_contra]]) -> None:
        self._checks = checks

    def __call__(
        self, rule: str, *, fresh: bool = False
    ) -> Callable[[Callable[[W_contra], None]], Callable[[W_contra], None]]:
        def register(run: Callable[[W_contra], None]) -> Callable[[W_contra], None]:
            says = " ".join((run.__doc__ or "").split())
            self._checks.append(Check(rule, says, run, fresh))
            return run

        return register


rule = _Registers(COMMON)
stdio_rule = _Registers(STDIO)
http_rule = _Registers(HTTP)
