"""Imports the file or module that the command line names, and finds its server."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from stepflow.worker._command.user_modules import INSTALLED
from stepflow.worker._importing import importing_target
from stepflow.worker._server import StepflowServer
from stepflow.worker.errors import NoServerInTarget


def server_in(target: str) -> StepflowServer:
    """Return the server that a TARGET names: `file.py`, `module`, or either with `:name`.

    Without a name it is the module's `server`, or else its only `StepflowServer`.
    Raises `NoServerInTarget`, and what the import of the user's code raises.
    """
    place, name = _split(target)
    with importing_target(place):
        module = _imported_file(place) if _is_file(place) else _imported_module(place)
    return _server_of(module, place, name)


def module_of(target: str) -> ModuleType:
    """Return the module that was imported for a TARGET."""
    place, _ = _split(target)
    return sys.modules[Path(place).stem if _is_file(place) else place]


def _split(target: str) -> tuple[str, str | None]:
    place, colon, name = target.rpartition(":")
    # `C:\components.py` has a colon too.
    return (place, name) if colon and name.isidentifier() else (target, None)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place or "/" in place


def _imported_file(place: str) -> ModuleType:
    path = Path(place).resolve()
    _check_file(place, path)
    _look_in(str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _file_type_error(place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _check_file(place: str, path: Path) -> None:
    if path.is_dir():
        raise _folder_error(place)
    if not path.is_file():
        raise NoServerInTarget(f"there is no file `{place}`", f"looked for {path}")
    if path.suffix != ".py":
        raise _file_type_error(place)
    if (problem := _problem_of_name(path)) is not None:
        raise NoServerInTarget(
            f"`{place}` cannot be imported: {problem}", "rename the file, to `components.py` say"
        )


def _problem_of_name(path: Path) -> str | None:
    """Return why a file cannot be imported under its own name, with its folder first on `sys.path`."""
    name = path.stem
    if "." in name or not name.isprintable():
        return f"{name!a} is not the name of a module"
    if name in sys.stdlib_module_names:
        return f"`{name}` is a module of Python's own, which it would hide"
    if name in sys.modules:
        return f"there is another module `{name}`"
    installed = importlib.util.find_spec(name)
    places = (
        ()
        if installed is None
        else (installed.origin, *(installed.submodule_search_locations or ()))
    )
    if any(INSTALLED & set(Path(each).parts) for each in places if each):
        return f"`{name}` is an installed package, which it would hide"
    return None


def _folder_error(place: str) -> NoServerInTarget:
    inside = sorted(Path(place).glob("*.py"))
    example = f", such as `{inside[0]}`" if inside else ""
    return NoServerInTarget(f"`{place}` is a folder", f"name a file in it{example}")


def _file_type_error(place: str) -> NoServerInTarget:
    return NoServerInTarget(f"`{place}` is no Python file", "name a file that ends in .py")


def _imported_module(place: str) -> ModuleType:
    if Path(place).is_dir() and not Path(place, "__init__.py").exists():
        raise _folder_error(place)
    if place in sys.stdlib_module_names:
        raise NoServerInTarget(
            f"`{place}` is a module of Python's own", "rename yours, to `components.py` say"
        )
    if place.startswith(".") or (Path(place).suffix and Path(place).is_file()):
        raise _file_type_error(place)
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


def _server_of(module: ModuleType, place: str, name: str | None) -> StepflowServer:
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
