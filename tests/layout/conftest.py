"""The files of the repository, for the tests of its layout."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def distributions(root: Path) -> dict[str, Path]:
    """The folders of the distributions, by the name in the namespace: `worker` for stepflow-worker."""
    found = sorted(root.glob("packages/stepflow-*/pyproject.toml"))
    return {file.parent.name.removeprefix("stepflow-"): file.parent for file in found}


@pytest.fixture(scope="session")
def our_files(root: Path) -> list[Path]:
    """All files that are under version control, or not ignored by it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: what is ours cannot be told from what was built")
    files = [root / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]
