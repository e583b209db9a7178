"""Runs the checks. A worker that has broken a rule is not used for the next check."""

import shlex
from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, TypeVar

from stepflow.testing.conformance._checks import HTTP_CHECKS, STDIO_CHECKS
from stepflow.testing.conformance._failures import Broken, CannotStart, Inapplicable
from stepflow.testing.conformance._http import Http
from stepflow.testing.conformance._http_worker import HttpWorker, Listening, until_reachable
from stepflow.testing.conformance._report import Report, Result, Verdict
from stepflow.testing.conformance._rule import Check
from stepflow.testing.conformance._stdio_worker import StdioWorker
from stepflow.testing.conformance._worker import Probe, Worker

W = TypeVar("W", bound=Worker)


def rules() -> list[str]:
    """Return the ids of all rules that are checked, on both transports."""
    over_pipes = [check.rule for check in STDIO_CHECKS]
    over_http = [check.rule for check in HTTP_CHECKS]
    return list(dict.fromkeys(over_pipes + over_http))


def check_worker(
    worker: str | Sequence[str],
    *,
    http: bool = False,
    execute: tuple[str, Any] | None = None,
    token: str | None = None,
    patience: float = 10.0,
    only: Collection[str] | None = None,
) -> Report:
    """Check a worker against the protocol.

    worker: the command that starts it, or the `http://` or `https://` address where it runs.
    http: whether the command serves over HTTP; it must then print its port to stdout.
    execute: path and input of a component that succeeds, for a worker without
    `/conformance/echo`.
    token: the bearer token that the worker asks for.
    patience: how long an answer may take, in seconds. The first answer may take three times as
    long, because the worker starts.
    only: the ids of the rules to check; by default all.

    Raises `CannotStart` when there is no worker to check, `ValueError` for an unknown rule.
    """
    probe = Probe(*execute) if execute else None
    if unknown := set(only or ()) - set(rules()):
        raise ValueError(f"there is no rule {', '.join(sorted(unknown))}")
    if isinstance(worker, str) and worker.startswith(("http://", "https://")):
        client = Http(worker, patience, token)
        until_reachable(client)
        results = _checked(HTTP_CHECKS, only, lambda: HttpWorker(client, probe))
        return Report(worker, "http", results)
    command = shlex.split(worker) if isinstance(worker, str) else list(worker)
    if not command:
        raise CannotStart("there is no command")
    if http:
        results = _checked(HTTP_CHECKS, only, lambda: _started(command, probe, token, patience))
        return Report(shlex.join(command), "http", results)
    results = _checked(STDIO_CHECKS, only, lambda: StdioWorker(command, patience, probe))
    return Report(shlex.join(command), "stdio", results)


def _started(
    command: Sequence[str], probe: Probe | None, token: str | None, patience: float
) -> HttpWorker:
    listening = Listening(command)
    client = Http(f"http://127.0.0.1:{listening.port}", patience, token)
    try:
        return HttpWorker(client, probe, listening.process)
    except Broken:
        listening.process.kill()
        raise


def _checked(
    checks: Sequence[Check[W]], only: Collection[str] | None, connect: Callable[[], W]
) -> list[Result]:
    workers = _Workers(connect)
    try:
        workers.must_answer()
        return [_result(check, workers) for check in checks if only is None or check.rule in only]
    finally:
        workers.end()


class _Workers(Generic[W]):
    """The worker that checks share. After a broken rule it is replaced."""

    def __init__(self, connect: Callable[[], W]) -> None:
        self._connect = connect
        self._shared: W | None = None
        self._paths: list[str] = []

    def must_answer(self) -> None:
        """Raise `CannotStart` unless there is a worker that answers."""
        worker = None
        try:
            worker = self._connect()
            worker.handshake()
            self._paths = worker.known.paths
        except Broken as broken:
            # A worker with a wrong answer is a worker too; the rules will tell what is wrong.
            if worker is None or not worker.has_spoken:
                raise CannotStart(f"the worker cannot be spoken to: {broken}") from None
        finally:
            if worker is not None:
                worker.end()

    def fresh(self) -> W:
        """Return a worker that has received no message. The paths were learnt from another one."""
        worker = self._connect()
        worker.known.paths = self._paths
        return worker

    def shared(self) -> W:
        """Return the worker that other checks have used."""
        if self._shared is None:
            self._shared = self.fresh()
        return self._shared

    def end(self) -> None:
        """End the shared worker."""
        if self._shared is not None:
            self._shared.end()
            self._shared = None


def _result(check: Check[W], workers: _Workers[W]) -> Result:
    worker = None
    try:
        worker = workers.fresh() if check.fresh else workers.shared()
        if not check.fresh and not worker.known.is_initialized:
            worker.handshake()
        check.run(worker)
        return Result(check.rule, check.says, Verdict.ok)
    except Inapplicable as missing:
        return Result(check.rule, check.says, Verdict.skipped, str(missing))
    except Broken as broken:
        exchanges = tuple(worker.known.exchanges) if worker is not None else ()
        workers.end()
        return Result(check.rule, check.says, Verdict.failed, str(broken), exchanges)
    finally:
        if worker is not None:
            worker.known.exchanges.clear()
            if check.fresh:
                worker.end()
