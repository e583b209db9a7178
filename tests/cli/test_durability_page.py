"""The commands of `docs/durability.md`, one after the other, in a folder with a server that has something to keep."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Ended, Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.serving import Server, begin, until_ready
from tests.test_documented_commands import ROOT, commands

PAGE = ROOT / "docs/durability.md"

# Those that need the server, in their order on the page.
BESIDE_A_SERVER = (
    "curl --fail --silent http://127.0.0.1:7840/api/v1/health",
    "curl --fail --silent http://127.0.0.1:7840/api/v1/ready",
    "stepflow db backup copy.db",
)

# A value that is kept in a file of its own.
LARGE = "x" * (2 << 20)


def shell(command: str, folder: Path) -> None:
    """Run a command of the page as a person would."""
    bin = Path(sys.executable).parent
    ran = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=os.environ | {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"


def stopped(stepflow: Stepflow, server: Server) -> Ended:
    server.process.send_signal(signal.SIGTERM)
    ended = stepflow.end(server.process)
    assert ended.code == 0, ended.stderr
    return ended


@pytest.mark.server
def test_each_command_of_the_page_works_and_nothing_is_lost(stepflow: Stepflow) -> None:
    (start, *rest) = commands(PAGE)
    assert start == "stepflow serve"
    assert set(BESIDE_A_SERVER) < set(rest)
    server = begin(stepflow)
    until_ready(server)
    body = {"flow": BUILTIN, "input": [LARGE], "wait": True}
    run = server("POST", "/runs", body).body["runId"]
    for command in BESIDE_A_SERVER:
        shell(command.replace("http://127.0.0.1:7840/api/v1", server.url), stepflow.folder)
    stopped(stepflow, server)
    for command in rest:
        if command not in BESIDE_A_SERVER:
            shell(command, stepflow.folder)
    config = "plugins: {b: {type: builtin}}\nroutes: {/builtin: [{plugin: b}]}\n"
    config += "stateStore: {type: sqlite, path: state/state.db}\n"
    stepflow.write(**{"stepflow-config_yml": config})
    server = begin(stepflow)
    kept = server("GET", f"/runs/{run}").body
    assert kept["result"]["result"] == LARGE, json.dumps(kept)[:500]
    stopped(stepflow, server)


def test_the_page_names_the_keys_and_their_defaults_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    config = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    for key, default, said in [
        ("transportMaxRetries", "3", "`retry.transportMaxRetries` (3)"),
        ("maxServerCrashes", "3", "`retry.maxServerCrashes` is 3"),
        ("stopGrace", '"5s"', "`server.stopGrace` (5 s)"),
        ("inlineBelow", '"1MiB"', "1 MiB or more (`blobStore.inlineBelow`)"),
    ]:
        (row,) = [line for line in config.splitlines() if line.startswith(f"| `{key}`")]
        assert f"| `{default}` |" in row, row
        assert said in page


@pytest.mark.server
def test_each_configuration_of_the_page_is_one(stepflow: Stepflow) -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    configurations = [block for block in blocks if not block.startswith("# compose.yaml")]
    assert len(blocks) == len(configurations) + 1
    for configuration in configurations:
        stepflow.write(c_yml=configuration)
        checked = stepflow("validate", "--config", "c.yml")
        assert checked.code == 0 and "`c.yml`: valid" in checked.stderr, checked.stderr
