"""The published packages, each pinned and in its own environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = {
    "stepflow-py-0.7.0": ("stepflow-py[http]==0.7.0",),
    "stepflow-py-0.9.2": ("stepflow-py[http]==0.9.2",),
    "stepflow-orchestrator-0.9.0": ("stepflow-orchestrator==0.9.0",),
}
CONSTRAINTS = Path(__file__).with_name("constraints.txt")
UV = os.environ.get("UV") or shutil.which("uv") or "uv"


class Unavailable(Exception):
    """Raised when a package cannot be installed, because its index cannot be reached."""


def environment(name: str) -> Path:
    """Return the folder of an environment. It is made if it is not in the user's cache yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / "stepflow/interop" / f"{name}-py{version}"
    done = folder / "is-complete"
    if not done.exists():
        _uv("venv", "--clear", "--python", sys.executable, folder)
        _uv("pip", "install", "--python", folder, "-c", CONSTRAINTS, *PACKAGES[name])
        done.touch()
    return folder


def _uv(*arguments: str | Path) -> None:
    ran = subprocess.run([UV, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Unavailable(ran.stderr.strip())
