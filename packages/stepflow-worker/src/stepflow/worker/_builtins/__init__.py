"""The components that a worker brings along. They run what a flow brings, so somebody must ask for them."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from stepflow.worker._components.component import Component
from stepflow.worker._executing.executor import usable_threads
from stepflow.worker.errors import RegistrationError


class Builtin(Component):
    """A component of our own."""

    __slots__ = ()


def builtin(name: str) -> Builtin:
    """Return one by its name, which is its extra's. Raises `RegistrationError` when it cannot be served."""
    if name not in _OFFERS:
        known = " and ".join(f"`{each}`" for each in _OFFERS)
        raise RegistrationError(name, f"a worker brings along {known} alone")
    offer = _OFFERS[name]
    if (module := offer.missing()) is not None:
        raise RegistrationError(
            offer.path,
            f"it needs `{module}`, which is not installed\n"
            f"hint: pip install 'stepflow-worker[{name}]'",
        )
    return offer.make()


def installed() -> Iterator[Builtin]:
    """All whose extras are installed."""
    return (offer.make() for offer in _OFFERS.values() if offer.missing() is None)


def with_installed(components: Mapping[str, Component]) -> dict[str, Component]:
    """Return components by path, and those of our own whose paths they leave free."""
    return dict(components) | {
        each.path: each for each in installed() if each.path not in components
    }


def warn_of(components: Iterable[Component]) -> None:
    """Say on stderr which of the components run what a flow brings along."""
    if paths := [f"`{each.path}`" for each in components if isinstance(each, Builtin)]:
        print(
            f"stepflow-worker: serves {' and '.join(paths)}: code that a flow brings along runs "
            "with all rights of this process",
            file=sys.stderr,
        )


class _Offer(NamedTuple):
    """What is served where, and which modules it needs."""

    path: str
    needs: tuple[str, ...]
    make: Callable[[], Builtin]

    def missing(self) -> str | None:
        """The first module that is not installed."""
        return next((each for each in self.needs if find_spec(each) is None), None)


# What they need is imported when they are first called: that takes its time.


def _udf() -> Builtin:
    from stepflow.worker._builtins.udf import udf

    # It is async, and runs most code in threads of its own.
    return Builtin(udf, "/udf", None, {}, max_concurrency=usable_threads())


def _langchain() -> Builtin:
    from stepflow.worker.langchain import invoke_loaded

    return Builtin(invoke_loaded, "/langchain/invoke", None, {})


_OFFERS = {
    "udf": _Offer("/udf", ("jsonschema", "referencing"), _udf),
    "langchain": _Offer("/langchain/invoke", ("langchain_core",), _langchain),
}
NAMES = tuple(_OFFERS)
