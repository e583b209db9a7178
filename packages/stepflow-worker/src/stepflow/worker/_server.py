"""`StepflowServer`: the components of a worker, and the ways to serve them."""

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar, overload

from stepflow.worker._component import Component
from stepflow.worker._imports import importing
from stepflow.worker._session import Served
from stepflow.worker._stdio import serve_stdio
from stepflow.worker._streams import take_standard_streams
from stepflow.worker.errors import DuplicateComponent, NotBuiltYet, ServedDuringImport

F = TypeVar("F", bound=Callable[..., Any])


class StepflowServer:
    """Collects components and serves them.

    server = StepflowServer()

    @server.component
    def double(input: int) -> int:
        return 2 * input
    """

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}

    @property
    def components(self) -> Mapping[str, Component]:
        """The registered components by path, in the order of their registration."""
        return MappingProxyType(self._components)

    @overload
    def component(self, function: F, /) -> F: ...

    @overload
    def component(
        self,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        max_concurrency: int | None = None,
        timeout: str | float | None = None,
        inline: bool = False,
    ) -> Callable[[F], F]: ...

    def component(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        max_concurrency: int | None = None,
        timeout: str | float | None = None,
        inline: bool = False,
    ) -> Callable[..., Any]:
        """Register a function as a component; it is returned unchanged.

        name: the path, by default the function's name; a leading slash is added.
        description: for people, by default the function's docstring.
        max_concurrency: how many executes of it run at once; the others wait. One that waits for
        a run which it submitted does not count, and goes on at once when that has ended.
        timeout: how long one execute may take, `"500ms"`, `"30s"`, `"1h30m"` or a number of
        seconds; a step's own timeout counts as well.
        inline: run it on the transport's event loop, which saves a change of threads. Nothing
        else is read or answered until it ends or awaits.

        The function takes one input and, if it wants, a `StepflowContext` (known by its
        annotation, or by the name `context`). `async def` runs on the event loop, `def` in a
        thread. The types of input and output become the component's JSON Schemas. A float that
        is NaN or infinite has no JSON form: in an untyped output it becomes null.

        Raises `RegistrationError` with the reason when the function cannot be served.
        """
        # String annotations may name what is defined around the decorator, in a function say.
        local_names = sys._getframe(1).f_locals

        def register(registered: F) -> F:
            component = Component(
                registered,
                name,
                description,
                local_names,
                max_concurrency=max_concurrency,
                timeout=timeout,
                inline=inline,
            )
            other = self._components.get(component.path)
            if other is not None:
                raise DuplicateComponent(
                    getattr(registered, "__name__", repr(registered)),
                    component.path,
                    getattr(other.function, "__qualname__", repr(other.function)),
                )
            self._components[component.path] = component
            return registered

        return register if function is None else register(function)

    async def run(self, *, host: str | None = None, port: int | None = None) -> None:
        """Serve over stdio; with `host` or `port` it will be HTTP, which is not built yet.

        Raises `ServedDuringImport` in a file that is only being imported for its components.
        """
        if host is not None or port is not None:
            await self.run_http(host=host, port=port)
        await self.run_stdio()

    async def run_stdio(
        self, *, max_concurrency: int | None = None, drain_timeout: float | None = None
    ) -> None:
        """Serve over stdin and stdout until the server closes them, or SIGTERM.

        Takes fds 0 and 1 for itself: what is printed from then on goes to stderr.

        max_concurrency: how many executes run at once; by default `min(32, CPUs + 4)`, or 256
        when all components are async.
        drain_timeout: how long open executes may go on at the end, in seconds; by default 5
        after the end of the input and 30 after SIGTERM.
        """
        _refuse_during_import()
        await serve_stdio(
            Served(self._components),
            take_standard_streams(),
            max_concurrency=max_concurrency,
            drain_timeout=drain_timeout,
        )

    async def run_http(self, *, host: str | None = None, port: int | None = None) -> NoReturn:
        """Not built yet: raises `NotBuiltYet`."""
        _refuse_during_import()
        raise NotBuiltYet("serving over HTTP (`host`, `port`)")


def _refuse_during_import() -> None:
    if (target := importing()) is not None:
        raise ServedDuringImport(target)
