"""Ctrl-C during a run: the run is cancelled, its state is shown, and no process is left."""

import signal
import time

import pytest

from tests.cli.conftest import Doorbell, Stepflow
from tests.cli.flows import ONE_STEP, SERVER, component

RING = "with open('doorbell', 'w') as bell: bell.write('running')\n"
STUCK = RING + "import threading\nthreading.Event().wait()\nreturn {}"


def test_ctrl_c_cancels_the_run_and_shows_its_state(stepflow: Stepflow, doorbell: Doorbell) -> None:
    body = RING + "import time\nfor _ in range(600): time.sleep(0.1)\nreturn {}"
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(body))
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}")
    doorbell.wait()
    process.send_signal(signal.SIGINT)
    ended = stepflow.end(process)
    assert (ended.code, ended.stdout) == (130, "")
    assert "interrupted: 0 of 1 step done; under way: `work` for " in ended.stderr


def test_ctrl_c_ends_an_async_component(stepflow: Stepflow, doorbell: Doorbell) -> None:
    stepflow.write(
        flow_yaml=ONE_STEP,
        components_py=SERVER
        + "async def work(input: dict) -> dict:\n    import asyncio\n"
        + f"    {RING}    await asyncio.Event().wait()\n    return {{}}\n",
    )
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}")
    doorbell.wait()
    process.send_signal(signal.SIGINT)
    assert stepflow.end(process).code == 130


def test_a_second_ctrl_c_does_not_wait(stepflow: Stepflow, doorbell: Doorbell) -> None:
    # The worker ignores SIGTERM, so that the server waits for it after the first Ctrl-C.
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stepflow.write(flow_yaml=ONE_STEP, components_py=deaf + component(STUCK))
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}", "--quiet")
    doorbell.wait()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    # A busy machine may say before that the worker takes its time to start.
    assert any(line.startswith("interrupted: ") for line in process.stderr)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert stepflow.end(process).code == 130
    assert time.monotonic() - began < 0.9  # after only one Ctrl-C it takes a second


def test_ctrl_c_while_the_worker_starts_leaves_no_process(
    stepflow: Stepflow, doorbell: Doorbell
) -> None:
    stepflow.write(
        flow_yaml=ONE_STEP, components_py=RING + "import threading\nthreading.Event().wait()\n"
    )
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}")
    doorbell.wait()
    process.send_signal(signal.SIGINT)
    ended = stepflow.end(process)
    assert (ended.code, ended.stdout) == (130, "")
    assert "interrupted" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_sigterm_is_treated_like_ctrl_c(
    stepflow: Stepflow, doorbell: Doorbell, number: int
) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(STUCK))
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}")
    doorbell.wait()
    process.send_signal(number)
    assert stepflow.end(process).code == 130


def test_the_workers_of_a_killed_server_end(stepflow: Stepflow, doorbell: Doorbell) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(STUCK))
    process = stepflow.start("run", "flow.yaml", "--input-json", "{}")
    doorbell.wait()
    assert len(stepflow.running()) > 1, "the server and its worker"
    process.kill()
    stepflow.end(process)
    assert stepflow.running() == []


def test_a_batch_whose_results_nobody_reads_any_more_is_cancelled(stepflow: Stepflow) -> None:
    items = 5_000
    body = "import time\ntime.sleep(0.002)\nopen('seen', 'a').write('.')\nreturn {}"
    stepflow.write(flow_yaml=ONE_STEP, components_py=component(body))
    (stepflow.folder / "inputs.jsonl").write_text("{}\n" * items, encoding="utf-8")
    process = stepflow.start("run", "flow.yaml", "--inputs", "inputs.jsonl", "--quiet")
    assert process.stdout is not None
    assert "success" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 130
    assert process.stderr is not None
    assert "interrupted: " in process.stderr.read()
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    assert stepflow.left_behind() == []
    assert len((stepflow.folder / "seen").read_text()) < items
