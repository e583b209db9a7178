"""`--reload`: serves what the TARGET holds now, and soon after each save what it holds then."""

import asyncio
import sys
import typing
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from weakref import WeakSet

from stepflow.worker._command.imports import module_of, server_in
from stepflow.worker._command.user_modules import UserModules, signatures
from stepflow.worker._executing.execution import Execution
from stepflow.worker._executing.failures import print_user_traceback
from stepflow.worker._server import StepflowServer
from stepflow.worker._session import Served
from stepflow.worker.errors import NoServerInTarget, ServedDuringImport

INTERVAL = 0.1
"""How often files are looked at, in seconds. A change counts when nothing more changed since."""


class ReloadingServer(StepflowServer):
    """Stands in for the server in a TARGET, and for the one in it after each save.

    An execute that has begun goes on with the code and the lifespan that it began with. Code that
    cannot be imported, or whose lifespan cannot be entered, changes nothing.
    """

    def __init__(self, target: str, server: StepflowServer, builtins: Sequence[str] = ()) -> None:
        """server: what the target holds now. builtins: what the command line adds to it."""
        super().__init__()
        self._target = target
        self._server = server
        self._asked_for = builtins
        self._modules = UserModules(module_of(target))
        self._watched = self._modules.files()
        self._known = signatures(self._watched)

    def served(self, state: object = None) -> Served:
        """What the target holds now."""
        return self._server.served(state)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Served]:
        """Enter the lifespan and watch the files; what is yielded changes with them."""
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
                changed = {file.name for file, at in seen.items() if at != self._known.get(file)}
                await self._reload(versions, _listed(changed))
                # What was saved during the import has not been read, so it is as it was before.
                self._known = signatures(self._watched) | seen
            before = seen

    async def _reload(self, versions: "_Versions", changed: str) -> None:
        paths = set(versions.live.components)
        try:
            # In a thread, as an import takes its time.
            server = await asyncio.to_thread(self._imported)
            await versions.take(server)
        except (Exception, SystemExit) as error:  # noqa: BLE001, it is user code
            self._watched |= self._modules.files_of(error)
            _show(error)
            return _say(f"{changed} changed, but what was served before still is")
        self._server = server
        self._watched = self._modules.files()
        _say(f"{changed} changed, and is served from now on")
        _say_what_differs(paths, set(versions.live.components))

    def _imported(self) -> StepflowServer:
        with self._modules.imported_anew():
            server = server_in(self._target)
            server.add_builtins(self._asked_for)
            return server


class _Versions:
    """The code that is served, and older code as long as executes of it are open."""

    def __init__(self) -> None:
        self.live = Served({})
        self._all: list[_Version] = []

    async def take(self, server: StepflowServer) -> None:
        """Serve another version from now on. Raises what its lifespan raises."""
        version = _Version(server)
        self.live.become(await version.enter())
        self._all.append(version)

    async def leave_unused(self) -> None:
        """Leave the lifespans that nothing needs any more."""
        for version in self._all[:-1]:
            if version.looks_unused():
                self._all.remove(version)
                await version.leave()
                _forget_types()

    async def leave_all(self) -> None:
        """Leave them all, the newest last."""
        for version in self._all:
            await version.leave()


class _Version:
    """One version of the code, and its lifespan, which a task of its own enters and leaves."""

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

    def looks_unused(self) -> bool:
        """Whether none of its executes is open, and was at the last look: one may just begin."""
        was_unused, self._was_unused = self._was_unused, not self._open
        return was_unused and self._was_unused

    async def leave(self) -> None:
        self._left.set()
        try:
            await self._holding
        except Exception as error:  # noqa: BLE001, it is user code
            _show(error)


def _counted(kind: type[Execution], open: "WeakSet[Execution]") -> type[Execution]:
    """Executions of a kind that are in a set while they are open."""

    def __init__(self: Execution, *given: Any) -> None:
        kind.__init__(self, *given)
        open.add(self)

    def _finish(self: Execution, line: bytes) -> None:
        kind._finish(self, line)
        open.discard(self)

    members = {"__slots__": ("__weakref__",), "__init__": __init__, "_finish": _finish}
    return cast(type[Execution], type(kind.__name__, (kind,), members))


def _forget_types() -> None:
    """Empty the caches of `typing`, which hold what generic types were made of: `Optional[Model]` holds `Model`."""
    for clear in getattr(typing, "_cleanups", ()):
        clear()


def _show(error: BaseException) -> None:
    if isinstance(error, NoServerInTarget | ServedDuringImport):
        _say(str(error))
    else:
        print_user_traceback(error)


def _say_what_differs(before: set[str], now: set[str]) -> None:
    for what, paths in (("new", now - before), ("gone", before - now)):
        if paths:
            _say(f"{what}: {_listed(paths)}; the server learns of it at its next handshake")


def _listed(paths: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in sorted(paths))


def _say(message: str) -> None:
    print(f"stepflow-worker: {message}", file=sys.stderr, flush=True)
