"""Finds the server binary where an installer has put it: in a venv, `--target`, `--prefix` or `--user`."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

_NAME = "stepflow-server"


class BinaryNotFound(FileNotFoundError):
    """Raised when there is no server binary in STEPFLOW_SERVER_BIN, or in the installation's folders."""

    def __init__(self, problem: str, hint: str, folders: list[Path]) -> None:
        super().__init__(f"{problem}\nhint: {hint}")
        self.folders = folders
        """The folders that were searched."""


def find_server_binary() -> Path:
    """Return the path of `stepflow-server`.

    If the variable `STEPFLOW_SERVER_BIN` is set, it names the file, and no folder is searched.
    Raises `BinaryNotFound`, which lists the folders that were searched.
    """
    name = _NAME + (sysconfig.get_config_var("EXE") or "")
    override = os.environ.get("STEPFLOW_SERVER_BIN")
    if override:
        binary = Path(override)
        if not binary.is_file():
            problem = f"STEPFLOW_SERVER_BIN names `{binary}`, which is not a file"
            raise BinaryNotFound(problem, "correct it or unset it", [binary.parent])
        return binary

    folders = list(dict.fromkeys(_folders()))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    looked = "".join(f"\n  {folder}" for folder in folders)
    problem = f"`{name}` was not found in any of these folders:{looked}"
    hint = "reinstall stepflow-orchestrator, or name the file in STEPFLOW_SERVER_BIN"
    raise BinaryNotFound(problem, hint, folders)


def _folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    # A venv made with --system-site-packages sees the base installation's distributions.
    yield Path(sysconfig.get_path("scripts", vars={"base": sys.base_prefix}))
    # The path is not resolved: if the installer made symlinks, it would lead into its cache.
    site = Path(__file__).parents[2]
    if site.name in ("site-packages", "dist-packages"):
        yield site.parents[1] / "Scripts" if os.name == "nt" else site.parents[2] / "bin"
    yield site / "bin"  # pip install --target
    yield Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
