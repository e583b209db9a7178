"""Runs a tool and returns its result in the same terms for all tools: passed, failed, skipped, not run."""

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from os import environ
from pathlib import Path

ROOT = Path(__file__).parent.parent

_RUST_SUMMARY = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")


@dataclass(frozen=True)
class Counts:
    """The results of one or several tools."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: tuple[str, ...] = ()
    """What could not be run on this machine, with the reasons."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.not_run + tuple(each for each in other.not_run if each not in self.not_run),
        )

    def or_failed(self, exit_code: int) -> "Counts":
        """Add a failure for a tool that failed without a failing test, as after a crash."""
        return self if exit_code == 0 or self.failed else self + Counts(failed=1)


def tool(*command: str | Path) -> Counts:
    """Run a tool that only passes or fails; it counts as one check."""
    exit_code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return Counts(passed=1) if exit_code == 0 else Counts(failed=1)


def cargo_test(*arguments: str | Path) -> Counts:
    """Run `cargo test` and add up the summaries of its binaries."""
    total = Counts()
    with subprocess.Popen(
        ["cargo", "test", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            sys.stdout.write(line)
            if summary := _RUST_SUMMARY.match(line):
                passed, failed, ignored = map(int, summary.groups())
                total += Counts(passed, failed, ignored)
    if total.skipped:
        total += Counts(not_run=(f"{total.skipped} Rust tests marked as ignored",))
    return total.or_failed(run.returncode)


def pytest(
    *arguments: str | Path,
    launcher: tuple[str | Path, ...] = (sys.executable, "-m", "pytest"),
    env: Mapping[str, str] | None = None,
    where: str = "",
    on_all_cores: bool = False,
) -> Counts:
    """Run pytest and read its report; `where` is added to the reasons of skipped tests.

    With `on_all_cores` several files are tested at once, for tests that do not measure.
    """
    cores = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile") if on_all_cores else ()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        exit_code = subprocess.run(
            [*launcher, "-q", f"--junitxml={report}", *cores, *arguments],
            cwd=ROOT,
            env=environ | (env or {}),
            check=False,
        ).returncode
        counts = _read_report(report, where) if report.exists() else Counts()
    return counts.or_failed(exit_code)


def _read_report(report: Path, where: str) -> Counts:
    total = Counts()
    for case in ET.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            total += Counts(failed=1)
        elif skipped is not None:
            reason = f"{case.get('classname')}::{case.get('name')}: {skipped.get('message')}{where}"
            total += Counts(skipped=1, not_run=(reason,))
        else:
            total += Counts(passed=1)
    return total
