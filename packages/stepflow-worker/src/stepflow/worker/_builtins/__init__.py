"""The built-in components of a worker. They run code that comes with a flow, so they must be turned on."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import NamedTuple

from stepflow.worker._components.component import Component
from stepflow.worker._executing.executor import usable_threads
from stepflow.worker.errors import RegistrationError


class Builtin(Component):
    """A built-in component."""

    __slots__ = ()


def builtin(name: str) -> Builtin:
    """Return a built-in component by its name, which is also the name of its extra.

    Raises `RegistrationError` for an unknown name, and when the extra is not installed.
    """
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
    """Yield the built-in components whose extras are installed."""
    return (offer.make() for offer in _OFFERS.values() if offer.missing() is None)


def with_installed(components: Mapping[str, Component]) -> dict[str, Component]:
    """Return the components by path, with the built-in ones whose paths are free."""
    return dict(components) | {
        each.path: each for each in installed() if each.path not in components
    }


def warn_about(components: Iterable[Component]) -> None:
    """Print to stderr which of the components run code that comes with a flow."""
    if paths := [f"`{each.path}`" for each in components if isinstance(each, Builtin)]:
        print(
            f"stepflow-worker: serves {' and '.join(paths)}: code that a flow brings along runs "
            "with all rights of this process",
            file=sys.stderr,
        )


class _Offer(NamedTuple):
    """The path of a built-in component, the modules that it needs, and how it is made."""

    path: str
    needs: tuple[str, ...]
    make: Callable[[], Builtin]

    def missing(self) -> str | None:
        """Return the first needed module that is not installed."""
        return next((each for each in self.needs if find_spec(each) is None), None)


# The modules that they need are imported at the first call: that takes long.


def _udf() -> Builtin:
    from stepflow.worker._builtins.udf import udf

    # It is async, and runs most code in its own threads.
    return Builtin(udf, "/udf", None, {}, max_concurrency=usable_threads())


def _langchain() -> Builtin:
    from stepflow.worker.langchain import invoke_loaded

    return Builtin(invoke_loaded, "/langchain/invoke", None, {})


_OFFERS = {
    "udf": _Offer("/udf", ("jsonschema", "referencing"), _udf),
    "langchain": _Offer("/langchain/invoke", ("langchain_core",), _langchain),
}
NAMES = tuple(_OFFERS)
