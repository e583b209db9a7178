"""Runs the examples as a person would: in a copy, with the `stepflow` of this environment."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of this folder, so that a test may change an input and nothing is left behind."""
    unwanted = shutil.ignore_patterns("results", "__pycache__")
    return shutil.copytree(Path(__file__).parent, tmp_path / "examples", ignore=unwanted)


@pytest.fixture
def stepflow(examples: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`stepflow("run", …)`: the finished process, called from the folder that holds `examples/`."""
    command = Path(sys.executable).with_name("stepflow")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *arguments],
            cwd=examples.parent,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call
