"""Builds every wheel once, and makes environments that contain only what a test needs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.wheels.environment import Environment

ROOT = Path(__file__).parents[2]
NAMES = ("protocol", "worker", "client", "testing", "orchestrator")

UV = os.environ.get("UV") or shutil.which("uv") or "uv"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.wheels)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution, by the name in the namespace.

    Its server is a debug build, which earlier tests have compiled already. The released wheel is the
    same, with cargo's release profile.
    """
    folder = tmp_path_factory.mktemp("wheels")
    for name in NAMES:
        subprocess.run(
            [UV, "build", "--quiet", "--wheel", f"--package=stepflow-{name}", f"-o={folder}"],
            cwd=ROOT,
            env=os.environ | {"MATURIN_PEP517_ARGS": "--profile dev"},
            check=True,
        )
    return {name: next(folder.glob(f"stepflow_{name}-*.whl")) for name in NAMES}


@pytest.fixture(scope="session")
def constraints(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions of other packages from uv.lock, and our wheels for our packages."""
    file = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    subprocess.run(
        [
            UV,
            "export",
            "--quiet",
            "--frozen",
            "--all-extras",
            "--all-packages",
            "--no-hashes",
            "--no-emit-workspace",
            f"--output-file={file}",
        ],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with file.open("a") as lines:
        for name, wheel in wheels.items():
            lines.write(f"stepflow-{name} @ {wheel.as_uri()}\n")
    return file


@pytest.fixture(scope="session")
def environment(
    constraints: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Environment]:
    """Return a function that makes an environment with only the named requirements."""

    def make(*requirements: str) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        venv = folder / "venv"
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--python", venv, "-c", constraints, *requirements],
            check=True,
        )
        (folder / "work").mkdir()
        return Environment(venv / "bin", folder / "work")

    return make


@pytest.fixture(scope="session")
def orchestrator(environment: Callable[..., Environment]) -> Environment:
    """An environment with only the server."""
    return environment("stepflow-orchestrator")
