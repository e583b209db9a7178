"""A worker that was started beforehand serves one run after the other."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Stepflow = Callable[..., subprocess.CompletedProcess[str]]

FOLDER = "examples/http-worker"


@pytest.fixture
def worker(examples: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """The worker on a port that the system chose, and where the configuration finds it."""
    program = Path(sys.executable).with_name("stepflow-worker")
    command = [str(program), f"{examples}/http-worker/components.py", "--http", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            monkeypatch.setenv("WORKER_PORT", str(port))
            yield process
        finally:
            process.terminate()


def test_one_worker_serves_two_runs(stepflow: Stepflow, worker: "subprocess.Popen[str]") -> None:
    for _ in range(2):
        ran = stepflow("run", f"{FOLDER}/flow.yaml", "--input", f"{FOLDER}/input.json")
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["result"] == {
            "letter": {"to": "Ada", "body": "The engine works."},
            "process": worker.pid,
        }
    assert worker.poll() is None


@pytest.mark.usefixtures("worker")
def test_the_flow_has_nothing_for_validate_to_report(stepflow: Stepflow) -> None:
    checked = stepflow("validate", f"{FOLDER}/flow.yaml")
    assert checked.returncode == 0, checked.stderr
    assert "warning[" not in checked.stderr
