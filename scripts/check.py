"""Runs all checks, the fastest ones first. `poe check` runs this.

A failed stage does not stop the others. Only the first one does: a stray file in the namespace
makes all later messages misleading.
"""

import argparse
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import python_versions
from runners import ROOT, Counts, cargo_test, pytest, tool

CARGO = ("--locked", "--manifest-path", "packages/stepflow-orchestrator/Cargo.toml")
MANIFEST = CARGO[1:]


@dataclass(frozen=True)
class Stage:
    """One line of the report."""

    name: str
    verb: str
    """The poe task that runs it, together with other stages of the same verb."""
    run: Callable[[], Counts]
    blocks: bool = False
    """Whether the results of later stages are useless when it fails."""


NAMESPACE = "tests/layout/test_namespace.py"


def namespace() -> Counts:
    # Plugins are off: a stray `stepflow/__init__.py` hides the plugin of stepflow-testing. Then pytest
    # would fail at its start, and not in the test that explains the reason. pytest_timeout is on,
    # because the configuration sets an option of it.
    return pytest("-p", "pytest_timeout", NAMESPACE, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})


def clippy() -> Counts:
    # The last flag does not change the result. With it, cargo keeps the results of this clone apart
    # from those of other clones with the same target folder. (The wrapper of bootstrap.sh cannot be
    # used, because clippy has its own wrapper.)
    here = f"--remap-path-prefix={ROOT}=."
    return tool("cargo", "clippy", *CARGO, "--all-targets", "--", "-D", "warnings", here)


def mypy() -> Counts:
    # One run for each folder of tests: mypy takes equal file names in two folders for one module.
    folders = [
        *sorted(ROOT.glob("packages/*/tests")),
        *(ROOT / name for name in ("scripts", "tests", "benchmarks")),
        *sorted(ROOT.glob("examples/*/")),
    ]
    total = tool("mypy")
    for folder in folders:
        if any(folder.rglob("*.py")):
            total += tool("mypy", folder.relative_to(ROOT))
    return total


def uv_pip_check() -> Counts:
    # uv does not check the version ranges between members of a workspace. This does.
    return tool(os.environ.get("UV") or shutil.which("uv") or "uv", "pip", "check")


STAGES = (
    Stage("namespace", "test", namespace, blocks=True),
    Stage("layout guards", "test", lambda: pytest("tests/layout", f"--ignore={NAMESPACE}")),
    Stage("cargo fmt", "lint", lambda: tool("cargo", "fmt", *MANIFEST, "--all", "--check")),
    Stage("clippy", "lint", clippy),
    Stage("Rust tests", "test", lambda: cargo_test(*CARGO, "--no-fail-fast")),
    Stage("ruff check", "lint", lambda: tool("ruff", "check", ".")),
    Stage("ruff format", "lint", lambda: tool("ruff", "format", "--check", ".")),
    Stage("mypy", "typecheck", mypy),
    Stage("versions of members", "deps", uv_pip_check),
    Stage("generated files", "generated", lambda: tool(sys.executable, "generate.py", "--check")),
    Stage("Python tests", "test", lambda: pytest("packages", on_all_cores=True)),
    Stage(
        "Python tests, other versions",
        "versions",
        lambda: python_versions.run_tests(python_versions.others()),
    ),
    Stage("examples", "test", lambda: pytest("examples", on_all_cores=True)),
    Stage(
        "whole repository",
        "test",
        lambda: pytest("tests", "-m", "not wheels", "--ignore=tests/layout", on_all_cores=True),
    ),
    Stage("wheels", "wheels", lambda: pytest("tests/wheels")),
)


def run(stages: Sequence[Stage]) -> tuple[Counts, list[str]]:
    """Run the stages; return the sum of their counts and a line for each."""
    total, lines = Counts(), []
    for number, stage in enumerate(stages, 1):
        print(f"\n── {number}/{len(stages)} {stage.name} ".ljust(88, "─"))
        started = time.monotonic()
        counts = stage.run()
        total += counts
        verdict = "FAILED" if counts.failed else "ok"
        seconds = time.monotonic() - started
        tally = f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped"
        lines.append(f"{verdict:<7} {stage.name:<30} {seconds:7.1f} s   {tally}")
        print(lines[-1])
        if counts.failed and stage.blocks:
            print("Stopped: while this fails, later stages would mislead")
            total += Counts(not_run=tuple(f"stage: {left.name}" for left in stages[number:]))
            break
    return total, lines


def main() -> int:
    """Run the stages of one verb, or all; 1 when anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = sorted({stage.verb for stage in STAGES})
    parser.add_argument("verb", nargs="?", choices=verbs, help="default: all of them")
    parser.add_argument(
        "--strict", action="store_true", help="fail when something could not be run here"
    )
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    os.chdir(ROOT)

    total, lines = run([stage for stage in STAGES if options.verb in (None, stage.verb)])

    print("\n── summary ".ljust(88, "─"))
    print("\n".join(lines))
    if total.not_run:
        print("\nCould not be run here:")
        print("\n".join(f"  {reason}" for reason in total.not_run))
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or (options.strict and total.not_run) else 0


if __name__ == "__main__":
    sys.exit(main())
