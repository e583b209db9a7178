"""Runs the packages' tests on every supported Python. `test-python-versions.sh` starts it."""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from runners import Counts, pytest

SUPPORTED = ("3.11", "3.12", "3.13")


def find_interpreter(version: str) -> Path | None:
    """Return an interpreter of this version that works: on PATH, else one of pyenv."""
    return next((found for found in _candidates(version) if _runs(found, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    if version == _version_here():
        yield Path(sys.executable)
    for folder in os.get_exec_path():
        for name in (f"python{version}", "python3"):
            yield Path(folder) / name
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
        if root.returncode == 0:
            # pyenv's shims on PATH do not start a version that is not selected.
            versions = Path(root.stdout.strip()) / "versions"
            yield from sorted(versions.glob(f"{version}.*/bin/python{version}"))


def _runs(python: Path, version: str) -> bool:
    if not python.is_file():
        return False
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [python, "-I", "-c", code], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version


def _version_here() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def run_tests(versions: Sequence[str]) -> Counts:
    """Run the packages' tests on each of `versions`; a missing one is reported, but is not a failure."""
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    total = Counts()
    for version in versions:
        python = find_interpreter(version)
        if python is None:
            print(f"Python {version}: not found", flush=True)
            total += Counts(not_run=(f"Python {version}: no interpreter was found",))
            continue
        print(f"Python {version}: {python}", flush=True)
        launcher = (uv, "run", "--quiet", "--locked", "--isolated", "--python", python, "pytest")
        total += pytest(
            "packages", launcher=launcher, where=f" (Python {version})", on_all_cores=True
        )
    return total


def others() -> tuple[str, ...]:
    """Return the supported versions other than the one that runs this."""
    return tuple(version for version in SUPPORTED if version != _version_here())


def main() -> int:
    """Test on all versions; 1 when a test failed or, without --allow-missing, a version is missing."""
    parser = argparse.ArgumentParser(
        prog="test-python-versions.sh", description="Run the packages' tests on every Python."
    )
    parser.add_argument("versions", nargs="*", default=SUPPORTED, help="default: %(default)s")
    parser.add_argument(
        "--allow-missing", action="store_true", help="do not fail when a version is missing"
    )
    options = parser.parse_args()
    missing = [version for version in options.versions if find_interpreter(version) is None]
    total = run_tests(options.versions)
    if missing:
        print(f"not found: Python {', '.join(missing)}", file=sys.stderr)
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or (missing and not options.allow_missing) else 0


if __name__ == "__main__":
    sys.exit(main())
