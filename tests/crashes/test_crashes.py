"""A server that is killed loses nothing and does nothing twice. `poe crash-matrix` tries every point, this a few."""

import pytest

from tests.cli.conftest import Stepflow, stepflow
from tests.crashes.matrix import Point, Told, play

__all__ = ["stepflow"]

SAMPLES = 9

UNDISTURBED: list[Told] = []
"""One for each process that runs tests."""


@pytest.fixture
def undisturbed(stepflow: Stepflow, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What becomes of the runs without a crash."""
    if not UNDISTURBED:
        UNDISTURBED.append(play(stepflow.command, tmp_path_factory.mktemp("undisturbed")))
    told = UNDISTURBED[0]
    assert told.problems == ()
    return told


def check(stepflow: Stepflow, undisturbed: Told, *points: Point) -> Told:
    told = play(stepflow.command, stepflow.folder, points).compared(undisturbed)
    again = f"uv run poe crash-matrix --at {','.join(map(str, points))}"
    assert told.problems == (), "\n".join((*told.problems, again))
    return told


@pytest.mark.parametrize("sample", range(SAMPLES))
def test_a_crash_at_an_append_changes_no_result(
    stepflow: Stepflow, undisturbed: Told, sample: int
) -> None:
    n = 1 + sample * undisturbed.appends // SAMPLES
    check(stepflow, undisturbed, Point(n, ("before", "after")[sample % 2]))


def test_a_crash_during_recovery_changes_no_result(stepflow: Stepflow, undisturbed: Told) -> None:
    points = Point(undisturbed.appends // 2, "after"), Point(2, "before")
    assert check(stepflow, undisturbed, *points).reached


@pytest.mark.parametrize("killed", ["worker", "both"])
def test_a_worker_that_is_killed_at_an_execute_changes_no_result(
    stepflow: Stepflow, undisturbed: Told, killed: str
) -> None:
    assert check(stepflow, undisturbed, Point(undisturbed.executes // 2, killed)).reached


def test_a_point_that_is_no_point_is_refused(stepflow: Stepflow) -> None:
    ended = stepflow("serve", "--port", "0", env={"STEPFLOW_CRASH_AT": "now"})
    assert (ended.code, ended.stdout) == (3, "")
    assert "STEPFLOW_CRASH_AT must be a number" in ended.stderr
