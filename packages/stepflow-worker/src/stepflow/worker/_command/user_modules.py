"""The modules that a worker's user edits: those around the TARGET, not what is installed."""

import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

Signature = tuple[int, int]
"""When a file was written, in nanoseconds, and its size in bytes."""

INSTALLED = {"site-packages", "dist-packages"}
"""Folders in which others' modules lie."""


class UserModules:
    """The loaded modules whose files lie in one folder."""

    def __init__(self, main: ModuleType) -> None:
        """main: the module of the TARGET."""
        place = Path(main.__file__ or "").resolve()
        # A module of a package stands for all of the package.
        self._folder = place.parents[main.__name__.count(".")]
        if "." in main.__name__:
            self._folder /= main.__name__.partition(".")[0]

    def loaded(self) -> dict[str, ModuleType]:
        """Those that are loaded now, by name."""
        return {name: each for name, each in list(sys.modules.items()) if self._is_ours(name, each)}

    def files(self) -> set[Path]:
        """The files of those that are loaded now."""
        return {Path(each.__file__) for each in self.loaded().values() if each.__file__}

    def files_of(self, error: BaseException) -> set[Path]:
        """The files in the folder that an error at import comes from: saving them may mend it."""
        named = [error.filename] if isinstance(error, SyntaxError) else []
        where = error.__traceback__
        while where is not None:
            named.append(where.tb_frame.f_code.co_filename)
            where = where.tb_next
        return {Path(each) for each in named if each and self._contains(Path(each))}

    @contextmanager
    def imported_anew(self) -> Iterator[None]:
        """Forget them, so that the block imports them again; when it fails, they are back."""
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

    def _is_ours(self, name: str, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if name == "__main__" or name.partition(".")[0] == "stepflow" or not file:
            return False
        return self._contains(Path(file))

    def _contains(self, file: Path) -> bool:
        if file.suffix != ".py" or not file.is_relative_to(self._folder):
            return False
        return INSTALLED.isdisjoint(file.relative_to(self._folder).parts)


def signatures(files: Iterable[Path]) -> dict[Path, Signature]:
    """How files look from outside; those that are not there are left out."""
    seen = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue  # many editors save by putting a new file into the place of the old one
        seen[file] = (stat.st_mtime_ns, stat.st_size)
    return seen
