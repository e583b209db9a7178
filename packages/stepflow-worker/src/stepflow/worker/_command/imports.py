"""Imports the file or module that the command line names, and finds the server in it."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from stepflow.worker.errors import NoServerInTarget

if TYPE_CHECKING:
    from stepflow.worker._server import StepflowServer

_importing: str | None = None


def importing() -> str | None:
    """The target that is being imported right now."""
    return _importing


def server_in(target: str) -> "StepflowServer":
    """Return the server that a TARGET names: `file.py`, `module`, or either with `:name`.

    Without a name it is the module's `server`, else its only `StepflowServer`.
    Raises `NoServerInTarget`, and whatever the import of the user's code raises.
    """
    place, name = _split(target)
    with _marked(place):
        module = _imported_file(place) if _is_file(place) else _imported_module(place)
    return _server_of(module, place, name)


def module_of(target: str) -> ModuleType:
    """Return the module that a TARGET led to."""
    place, _ = _split(target)
    return sys.modules[Path(place).stem if _is_file(place) else place]


def _split(target: str) -> tuple[str, str | None]:
    place, colon, name = target.rpartition(":")
    # `C:\components.py` has a colon, too.
    return (place, name) if colon and name.isidentifier() else (target, None)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place or "/" in place


@contextmanager
def _marked(place: str) -> Iterator[None]:
    global _importing
    _importing = place
    try:
        yield
    finally:
        _importing = None


def _imported_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise NoServerInTarget(f"there is no file `{place}`", f"looked for {path}")
    if path.stem in sys.modules:
        raise NoServerInTarget(
            f"`{place}` cannot be imported: there is another module `{path.stem}`",
            "rename the file",
        )
    _look_in(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NoServerInTarget(f"`{place}` is no Python file", "name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _imported_module(place: str) -> ModuleType:
    if place.startswith(".") or (Path(place).suffix and Path(place).is_file()):
        raise NoServerInTarget(f"`{place}` is no Python file", "name a file that ends in .py")
    _look_in(os.getcwd())  # as `python -m` does
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
            raise NoServerInTarget(
                f"there is no module `{error.name}`",
                f"name a module on the path, or a file: `{place}.py`",
            ) from None
        raise


def _look_in(folder: str) -> None:
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)


def _server_of(module: ModuleType, place: str, name: str | None) -> "StepflowServer":
    from stepflow.worker._server import StepflowServer

    servers = {
        each: value for each, value in vars(module).items() if isinstance(value, StepflowServer)
    }
    wanted = name or "server"
    if wanted in servers:
        return servers[wanted]
    if name is not None:
        there = hasattr(module, name)
        listed = ", ".join(f"`{each}`" for each in servers) or "none"
        raise NoServerInTarget(
            f"`{name}` in `{place}` is a `{type(getattr(module, name)).__name__}`"
            if there
            else f"`{place}` has no `{name}`",
            f"its servers: {listed}",
        )
    distinct = list({id(value): each for each, value in servers.items()}.values())
    if len(distinct) != 1:
        raise NoServerInTarget.among(place, distinct)
    return servers[distinct[0]]
