"""`make demo`: runs the flow beside this file.

On stdout it prints only the flow's result, one JSON document. On stderr it prints the progress of the
steps, the files that were written, and what to try next. Its exit code is the exit code of `stepflow`.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
PROJECT = EXAMPLES.parent


def main() -> int:
    stepflow = Path(sys.executable).with_name("stepflow")
    if not stepflow.exists():
        print(f"error: there is no `stepflow` beside {sys.executable}", file=sys.stderr)
        print("hint: `make demo` builds and installs it first", file=sys.stderr)
        return 3
    # Ctrl-C reaches `stepflow` too, which cancels the run; this process waits for its answer.
    signal.signal(signal.SIGINT, lambda *_: None)
    ran = subprocess.run(
        [stepflow, "run", HERE / "flow.yaml", "--input", HERE / "input.json"],
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    if ran.stdout:
        print(json.dumps(json.loads(ran.stdout), indent=2, ensure_ascii=False), flush=True)
    if ran.returncode == 0:
        written = json.loads(ran.stdout)["result"]
        print(_what_next(stepflow, written["chart"], written["report"]), file=sys.stderr)
    return ran.returncode


def _what_next(stepflow: Path, chart: str, report: str) -> str:
    command, flow = _command(stepflow), _from_here(HERE / "flow.yaml")
    hello = EXAMPLES / "hello"
    return f"""
chart:  {_from_here(chart)}
report: {_from_here(report)}

Try next:

  # check the flow without running it
  {command} validate {flow}

  # run it yourself
  {command} run {flow} --input {_from_here(HERE / "input.json")}

  # run the smallest flow there is, then open it
  {command} run {_from_here(hello / "flow.yaml")} --input {_from_here(hello / "input.json")}"""


def _command(stepflow: Path) -> str:
    """Return how a person calls `stepflow` in the current folder: with uv in the project, otherwise by its path."""
    uv = os.environ.get("UV")  # set by `uv run`; it may be a uv that is not on the PATH
    in_project = (PROJECT / "pyproject.toml").exists() and Path.cwd().is_relative_to(PROJECT)
    if uv and in_project:
        return f"{'uv' if shutil.which('uv') else _from_here(uv)} run stepflow"
    return _from_here(stepflow)


def _from_here(path: str | Path) -> str:
    """Return `path` as a person would type it in the current folder."""
    path = Path(path)
    return shlex.quote(
        str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    )


if __name__ == "__main__":
    sys.exit(main())
