"""On a terminal there is a live display on stderr, and a result that people can read on stdout."""

import os
import pty
import select
import subprocess

from tests.cli.conftest import TIMEOUT, Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP, component


def on_a_terminal(
    stepflow: Stepflow, *arguments: str, stdout: int | None = None, **env: str
) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and its output. `stdout` replaces its stdout."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [*stepflow.command, *arguments],
        cwd=stepflow.folder,
        env={**environment, "TEST_STEPFLOW_MARK": stepflow.mark, "TERM": "xterm", **env},
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout is None else stdout,
        stderr=theirs,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while True:
            readable, _, _ = select.select([ours], [], [], TIMEOUT)
            assert readable, f"the command neither writes nor ends:\n{written.decode()}"
            try:
                written += os.read(ours, 65536)
            except OSError:  # the last writer has closed the terminal
                break
        return process.wait(TIMEOUT), written.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_run_is_shown_live_and_its_result_spread_out(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("return {'n': 1}"))
    code, written = on_a_terminal(stepflow, "run", "flow.yaml", "--input-json", "{}")
    assert code == 0, written
    assert "starting the worker of `python`" in written
    assert "\x1b[32mdone" in written
    assert "1 of 1 step done" in written
    assert '{\r\n  "outcome": "success",\r\n  "result": {\r\n    "n": 1\r\n  }\r\n}' in written


def test_a_failure_on_a_terminal_is_shown_once(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=ONE_STEP, components_py=component("raise ValueError('no good')"))
    code, written = on_a_terminal(
        stepflow, "run", "flow.yaml", "--input-json", "{}", stdout=subprocess.DEVNULL
    )
    assert code == 1
    assert written.count("no good") == 3, written  # the message, and twice in the traceback


def test_colours_can_be_refused(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    code, written = on_a_terminal(stepflow, "run", "flow.yaml", "--input-json", "1", NO_COLOR="1")
    assert code == 0, written
    assert "done   copy" in written
    assert "\x1b[32m" not in written


def test_quiet_works_on_a_terminal_too(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    run = ("run", "flow.yaml", "--input-json", "1", "--quiet")
    assert on_a_terminal(stepflow, *run, stdout=subprocess.DEVNULL) == (0, "")
