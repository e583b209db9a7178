"""`StepflowServer`: the components of a worker, and the ways to serve them."""

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from stepflow.worker._builtins import Builtin, builtin, warn_about, with_installed
from stepflow.worker._components.bounds import check_options
from stepflow.worker._components.callables import check_callable
from stepflow.worker._components.component import Component
from stepflow.worker._components.paths import path_of, shape_of
from stepflow.worker._components.texts import check_text
from stepflow.worker._importing import importing
from stepflow.worker._session import Served
from stepflow.worker._stdio.serving import serve_stdio
from stepflow.worker._stdio.streams import take_standard_streams
from stepflow.worker._tracing.tracing import execution_kind
from stepflow.worker.errors import (
    DuplicateComponent,
    InvalidLifespan,
    RegistrationError,
    ServedDuringImport,
)

if TYPE_CHECKING:
    from stepflow.worker.langchain import MakeRunnable

F = TypeVar("F", bound=Callable[..., Any])

Lifespan: TypeAlias = "Callable[[StepflowServer], AbstractAsyncContextManager[object]]"
"""Makes the context manager that is entered before the first execute and left after the last one."""


class StepflowServer:
    """Collects components and serves them.

    server = StepflowServer()

    @server.component
    def double(input: int) -> int:
        return 2 * input
    """

    def __init__(
        self,
        *,
        lifespan: "Lifespan | None" = None,
        version: str | None = None,
        builtins: Iterable[str] = (),
        include_builtins: bool = False,
    ) -> None:
        """lifespan: an async context manager that takes this server; it is entered once, before
        the first execute, and left after the last one. What it yields is `context.state`.
        version: the version of the components' code; the server records it with each attempt.
        builtins: which built-in components are served as well: `"udf"` is `/udf`, and
        `"langchain"` is `/langchain/invoke`. They run code that comes with a flow.
        include_builtins: an older option: serve all built-in components whose extras are installed.

        Raises `RegistrationError` when the extra of one of the `builtins` is not installed, and
        `ValueError` for a `version` that is not one line of text.
        """
        if not (version is None or (isinstance(version, str) and version.isprintable())):
            raise ValueError(f'version={version!a}: write a text in one line, such as "1.4"')
        self._lifespan = lifespan
        self._version = version
        self._include_builtins = include_builtins
        self._components: dict[str, Component] = {}
        self.add_builtins([builtins] if isinstance(builtins, str) else builtins)

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
        timeout: str | float | timedelta | None = None,
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
        timeout: str | float | timedelta | None = None,
        inline: bool = False,
    ) -> Callable[..., Any]:
        """Register a function as a component; it is returned unchanged.

        name: the path, by default the function's name; a leading slash is added. In a pattern,
        `{x}` stands for one segment, and `{*rest}` at its end for all segments that are left; the
        function has a parameter for each. If several patterns match, the most literal one is used.
        description: a text for people, by default the function's docstring.
        max_concurrency: how many executes of this component run at once; the others wait. By
        default only the limit of the worker counts. An execute that waits for a run which it
        submitted does not count, and goes on at once when the run has ended.
        timeout: how long one execute may take: `"500ms"`, `"30s"`, `"1h30m"`, a number of seconds
        or a `timedelta`; by default there is no limit. The timeout of the step counts as well.
        Neither of them interrupts the writing of the output.
        inline: run a plain `def` on the transport's event loop, which is faster than a thread, but
        no message is read or answered until it ends. It changes nothing for an `async def`: all of
        these run on one loop, the loop of the lifespan.

        The function takes one input and, optionally, a `StepflowContext` (recognised by its
        annotation, or by the name `context`). An `async def` runs on the event loop, a `def` in a
        thread. The types of input and output become the component's JSON Schemas. An output
        without a JSON form fails the step; NaN and infinite numbers have none.

        Raises `RegistrationError` with the reason when the function cannot be served.
        """
        # String annotations may use names that are local to the function around the decorator.
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
            self._add(component)
            return registered

        return register if function is None else register(function)

    @overload
    def langchain_component(self, make: "MakeRunnable", /) -> "MakeRunnable": ...

    @overload
    def langchain_component(
        self, /, *, name: str | None = None, description: str | None = None
    ) -> "Callable[[MakeRunnable], MakeRunnable]": ...

    def langchain_component(
        self,
        make: "MakeRunnable | None" = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
    ) -> Any:
        """Register the LangChain runnable that a function returns; the function is called once, now.

        The input of a step is `{input, config?}`. The runnable gets the step's `StepflowContext` in
        its config, as `metadata["stepflow_context"]`. `name` and `description` are as for `component`.

        Raises `RegistrationError` when the function does not return a runnable, and when LangChain
        is not installed.
        """
        from stepflow.worker.langchain import runnable_component

        def register(made: "MakeRunnable") -> "MakeRunnable":
            check_callable(made, name)
            self.component(name=name, description=description)(runnable_component(made))
            return made

        return register if make is None else register(make)

    def include(self, other: "StepflowServer", *, prefix: str = "") -> None:
        """Register the components that another server has now, under `prefix`, such as `"/nlp"`.

        Raises `RegistrationError`, and registers none, when a path is taken already or is not
        allowed. It also does so when `other` has a lifespan: only this server's lifespan is entered.
        """
        if not isinstance(other, StepflowServer):
            kind = type(other).__name__
            raise RegistrationError("include", f"a `{kind}` is not a `StepflowServer`; give one")
        check_text("include", "prefix", prefix)
        if other._lifespan is not None:
            raise RegistrationError(
                f"include(prefix={prefix!r})",
                "the included server has a lifespan, which nobody would enter\n"
                "hint: give it to the server that includes",
            )
        if set(prefix) & set("{}"):
            raise RegistrationError(
                f"include(prefix={prefix!r})",
                "no function has a parameter for what a prefix captures; write it without braces",
            )
        prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""
        if prefix:
            path_of(prefix)  # for a server that has no components yet
        self._add(*[each.under(prefix) for each in other._components.values()])

    def add_builtins(self, names: Iterable[str]) -> None:
        """Serve built-in components, as `StepflowServer(builtins=…)` does; those served already stay."""
        if not isinstance(names, Iterable):
            kind = type(names).__name__
            raise RegistrationError("builtins", f"a `{kind}` is given; write a list of names")
        asked_for = {each.path: each for each in map(builtin, names)}
        here = self._components
        self._add(*[e for e in asked_for.values() if not isinstance(here.get(e.path), Builtin)])

    def _add(self, *components: Component) -> None:
        """Register all of them, or none if one has a path that is taken."""
        shapes = {shape_of(each.path): each for each in self._components.values()}
        for component in components:
            other = shapes.setdefault(shape_of(component.path), component)
            if other is not component:
                raise DuplicateComponent(component.title, component.path, other.title)
        self._components.update({each.path: each for each in components})

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Served]:
        """Enter the lifespan, and return what is served with its state; for transports.

        It must be entered on the loop that runs the async components.
        """
        warn_about(self.served().components.values())
        if self._lifespan is None:
            yield self.served()
            return
        lifespan = self._lifespan(self)
        if not isinstance(lifespan, AbstractAsyncContextManager):
            raise InvalidLifespan(lifespan)
        async with lifespan as state:
            yield self.served(state)

    def served(self, state: object = None) -> Served:
        """Return what this server offers, for transports: its components and the built-in ones."""
        components: Mapping[str, Component] = self._components
        if self._include_builtins:
            components = with_installed(components)
        return Served(components, version=self._version, state=state, execution=execution_kind())

    async def run(self, *, host: str | None = None, port: int | None = None) -> None:
        """Serve over stdio; with `host` or `port` over HTTP, as `run_http` does.

        Raises `ServedDuringImport` in a file that is only being imported for its components.
        """
        if host is not None or port is not None:
            await self.run_http(host, port)
        else:
            await self.run_stdio()

    async def run_stdio(
        self, *, max_concurrency: int | None = None, drain_timeout: float | None = None
    ) -> None:
        """Serve over stdin and stdout until the server closes them, or SIGTERM arrives.

        It takes file descriptors 0 and 1 for the protocol: what is printed later goes to stderr.

        max_concurrency: how many executes run at once; by default `min(32, CPUs + 4)`, or 256
        when all components are async.
        drain_timeout: how long open executes may go on at the end, in seconds; by default 5
        after the end of the input and 30 after SIGTERM.

        Raises `ValueError` for a number that is not allowed, and `ServedDuringImport` in a file that
        is only being imported for its components.
        """
        check_options(max_concurrency, drain_timeout)
        _refuse_during_import()
        streams = take_standard_streams()
        await serve_stdio(
            self, streams, max_concurrency=max_concurrency, drain_timeout=drain_timeout
        )

    async def run_http(
        self,
        host: str | None = None,
        port: int | None = None,
        token: str | None = None,
        *,
        insecure: bool = False,
        max_concurrency: int | None = None,
        drain_timeout: float | None = None,
    ) -> None:
        """Serve over HTTP until SIGTERM or SIGINT arrives; needs `stepflow-worker[http]`.

        It prints `{"port": N}` once it listens, and takes stdin and stdout as `run_stdio` does.
        Async components run on another event loop, in another thread.

        host: the address to listen on, by default 127.0.0.1.
        port: the port to listen on; by default STEPFLOW_WORKER_PORT, or 8080 if that is not set.
        With 0 the system chooses a free one.
        token: the bearer token that requests must carry; by default STEPFLOW_WORKER_TOKEN.
        insecure: allow an address that other machines can reach without a token.
        max_concurrency: as for `run_stdio`.
        drain_timeout: how long open executes may go on after the first signal, in seconds; by
        default 30. A second signal ends the process at once.

        Raises `CannotServe` with the reason when it cannot begin, `ValueError` for a number that is
        not allowed, and `ServedDuringImport` as `run` does.
        """
        check_options(max_concurrency, drain_timeout)
        _refuse_during_import()
        from stepflow.worker._http import serve  # not needed for stdio, and slow to load

        await serve(
            self,
            take_standard_streams(),
            host=host,
            port=port,
            token=token,
            insecure=insecure,
            max_concurrency=max_concurrency,
            drain_timeout=drain_timeout,
        )


def _refuse_during_import() -> None:
    if (target := importing()) is not None:
        raise ServedDuringImport(target)
