"""The modules that a worker's user edits: the ones in the TARGET's folder, not installed packages."""

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

Signature = tuple[int, int]
"""A file's time of modification in nanoseconds, and its size in bytes."""

INSTALLED = {"site-packages", "dist-packages"}
"""Folders with installed packages."""


class UserModules:
    """The loaded modules whose files are in one folder."""

    def __init__(self, main: ModuleType) -> None:
        """main: the module of the TARGET."""
        place = Path(main.__file__ or "").resolve()
        # For a module of a package it is the folder of the whole package.
        self._folder = place.parents[main.__name__.count(".")]
        if "." in main.__name__:
            self._folder /= main.__name__.partition(".")[0]

    def loaded(self) -> dict[str, ModuleType]:
        """Return the modules that are loaded now, by name."""
        return {
            name: each
            for name, each in list(sys.modules.items())
            if self._is_user_module(name, each)
        }

    def files(self) -> set[Path]:
        """Return the files of the modules that are loaded now."""
        return {Path(each.__file__) for each in self.loaded().values() if each.__file__}

    def files_of(self, error: BaseException) -> set[Path]:
        """Return the files in the folder that an import error comes from: a save may fix it."""
        named = [error.filename] if isinstance(error, SyntaxError) else []
        where = error.__traceback__
        while where is not None:
            named.append(where.tb_frame.f_code.co_filename)
            where = where.tb_next
        return {Path(each) for each in named if each and self._contains(Path(each))}

    @contextmanager
    def reimported(self) -> Iterator[None]:
        """Unload the modules, so that the block imports them again; when it fails, they are restored."""
        before = self.loaded()
        for name in before:
            del sys.modules[name]
        importlib.invalidate_caches()
        try:
            yield
        except BaseException:
            for name in self.loaded():
                del sys.modules[name]
            sys.modules.update(before)
            raise

    def _is_user_module(self, name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if name == "__main__" or name.partition(".")[0] == "stepflow" or not file:
            return False
        return self._contains(Path(file))

    def _contains(self, file: Path) -> bool:
        if file.suffix != ".py" or not file.is_relative_to(self._folder):
            return False
        return INSTALLED.isdisjoint(file.relative_to(self._folder).parts)


def signatures(files: Iterable[Path]) -> dict[Path, Signature]:
    """Return the signatures of the files that exist."""
    seen = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue  # many editors save by replacing the file with a new one
        seen[file] = (stat.st_mtime_ns, stat.st_size)
    return seen
