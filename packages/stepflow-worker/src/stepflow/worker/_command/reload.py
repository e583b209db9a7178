"""`--reload`: serves the TARGET, and the new code soon after each save."""

import asyncio
import sys
import typing
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet

from stepflow.worker._command.imports import module_of, server_in
from stepflow.worker._command.user_modules import Signature, UserModules, signatures
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.failures import print_user_traceback
from stepflow.worker._server import StepflowServer
from stepflow.worker._session import Served
from stepflow.worker.errors import NoServerInTarget, ServedDuringImport

INTERVAL = 0.1
"""How often files are checked, in seconds. A change counts when the next check finds no other."""


class ReloadingServer(StepflowServer):
    """A server that always serves the newest code of a TARGET.

    An execute that has begun goes on with the code and the lifespan that it began with. If the new
    code cannot be imported, or its lifespan cannot be entered, the old code is still served.
    """

    def __init__(self, target: str, server: StepflowServer, builtins: Sequence[str] = ()) -> None:
        """server: the server in the target. builtins: what the command line adds to it."""
        super().__init__()
        self._target = target
        self._server = server
        self._asked_for = builtins
        self._modules = UserModules(module_of(target))
        self._watched = self._modules.files()
        self._known = signatures(self._watched)

    def served(self, state: object = None) -> Served:
        """Return what the newest code offers."""
        return self._server.served(state)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Served]:
        """Enter the lifespan and watch the files; the yielded object changes after each save."""
        versions = _Versions()
        await versions.take(self._server)
        watching = asyncio.create_task(self._watch(versions))
        try:
            yield versions.live
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            await versions.leave_all()

    async def _watch(self, versions: "_Versions") -> None:
        before = self._known
        while True:
            await asyncio.sleep(INTERVAL)
            await versions.leave_unused()
            seen = self._known | signatures(self._watched)
            if seen == before != self._known:
                await self._reload(versions, seen)
            before = seen

    async def _reload(self, versions: "_Versions", seen: dict[Path, Signature]) -> None:
        changed = _listed(file.name for file, at in seen.items() if at != self._known.get(file))
        paths = set(versions.live.components)
        try:
            # In a thread: an import may take long.
            server = await asyncio.to_thread(self._imported)
            await versions.take(server)
        except (Exception, SystemExit) as error:  # noqa: BLE001, it is user code
            self._watch_files(self._watched | self._modules.files_of(error), seen)
            _print_error(error)
            return _print(f"{changed} changed, but what was served before still is")
        self._server = server
        self._watch_files(self._modules.files(), seen)
        _print(f"{changed} changed, and is served from now on")
        _print_difference(paths, set(versions.live.components))

    def _watch_files(self, files: set[Path], seen: dict[Path, Signature]) -> None:
        """Watch these files from now on; before anything is printed, as people save when they read it.

        seen: the signatures before the import. A file that was saved since then counts as changed:
        the import may not have read it.
        """
        self._watched = files
        self._known = signatures(files) | seen

    def _imported(self) -> StepflowServer:
        with self._modules.reimported():
            server = server_in(self._target)
            server.add_builtins(self._asked_for)
            return server


class _Versions:
    """The version of the code that is served, and older ones that open executes still use."""

    def __init__(self) -> None:
        self.live = Served({})
        self._all: list[_Version] = []

    async def take(self, server: StepflowServer) -> None:
        """Serve another version from now on. Raises what its lifespan raises."""
        version = _Version(server)
        self.live.replace_with(await version.enter())
        self._all.append(version)

    async def leave_unused(self) -> None:
        """Leave the lifespans of old versions that no execute uses any more."""
        for version in self._all[:-1]:
            if version.check_unused():
                self._all.remove(version)
                await version.leave()
                _forget_types()

    async def leave_all(self) -> None:
        """Leave the lifespans of all versions, the newest last."""
        for version in self._all:
            await version.leave()


class _Version:
    """One version of the code, and its lifespan. One task enters and leaves the lifespan."""

    def __init__(self, server: StepflowServer) -> None:
        self._server = server
        self._left = asyncio.Event()
        self._open: WeakSet[Execution] = WeakSet()
        self._was_unused = False

    async def enter(self) -> Served:
        entered: asyncio.Future[Served] = asyncio.get_running_loop().create_future()
        self._holding = asyncio.create_task(self._hold(entered))
        either: list[asyncio.Future[Any]] = [entered, self._holding]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if entered.done():
                self._left.set()
            else:
                self._holding.cancel()
            await asyncio.wait((self._holding,))
            raise
        if not entered.done():
            await self._holding
        served = await entered
        served.execution = _counted(served.execution, self._open)
        return served

    async def _hold(self, entered: "asyncio.Future[Served]") -> None:
        async with self._server.started() as served:
            entered.set_result(served)
            await self._left.wait()

    def check_unused(self) -> bool:
        """Note whether an execute is open. True when none was open at this check and the last one:
        at a single check, one may just be beginning.
        """
        was_unused, self._was_unused = self._was_unused, not self._open
        return was_unused and self._was_unused

    async def leave(self) -> None:
        self._left.set()
        try:
            await self._holding
        except Exception as error:  # noqa: BLE001, it is user code
            _print_error(error)


def _counted(kind: type[Execution], open: "WeakSet[Execution]") -> type[Execution]:
    """Return a class of executions like `kind`; they are in the set `open` while they are open."""

    def __init__(self: Execution, *given: Any) -> None:
        kind.__init__(self, *given)
        open.add(self)

    def _finish(self: Execution, line: bytes) -> None:
        kind._finish(self, line)
        open.discard(self)

    members = {"__slots__": ("__weakref__",), "__init__": __init__, "_finish": _finish}
    return cast(type[Execution], type(kind.__name__, (kind,), members))


def _forget_types() -> None:
    """Empty the caches of `typing`, which keep old classes in memory: `Optional[Model]` keeps `Model`."""
    for clear in getattr(typing, "_cleanups", ()):
        clear()


def _print_error(error: BaseException) -> None:
    if isinstance(error, NoServerInTarget | ServedDuringImport):
        _print(str(error))
    else:
        print_user_traceback(error)


def _print_difference(before: set[str], now: set[str]) -> None:
    for what, paths in (("new", now - before), ("gone", before - now)):
        if paths:
            _print(f"{what}: {_listed(paths)}; the server learns of it at its next handshake")


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in sorted(paths))


def _print(message: str) -> None:
    print(f"stepflow-worker: {message}", file=sys.stderr, flush=True)
