"""`stepflow plugins list`: the plugins and the state of their workers."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.flows import component

CONFIG = """\
plugins:
  builtin: {type: builtin}
  mine: {type: stepflow, command: stepflow-worker, args: [components.py], instances: 2, maxConcurrency: 3}
"""

ECHO = component("return input")


def test_the_table_has_a_row_for_each_plugin_and_each_of_its_processes(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": ECHO})
    ended = stepflow("plugins", "list")
    assert ended.code == 0, ended.stderr
    head, builtin, mine, *processes = ended.stdout.splitlines()
    assert head.split()[:4] == ["PLUGIN", "TYPE", "TRANSPORT", "STATE"]
    assert builtin.split()[:2] == ["builtin", "builtin"]
    assert mine.split()[:6] == ["mine", "stepflow", "stdio", "ready", "6", "0"]
    assert [row.split()[::2] for row in processes] == [["pid", "ready", "0"]] * 2


def test_the_list_is_data_for_machines(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": ECHO})
    builtin, mine = json.loads(stepflow("plugins", "list", "--format", "json").stdout)["plugins"]
    assert (builtin["plugin"], builtin["state"]) == ("builtin", "ready")
    assert (mine["type"], mine["transport"], mine["components"] > 0) == ("stepflow", "stdio", True)
    names = {instance.pop("name") for instance in mine["instances"]}
    assert names == {"mine/" + one.pop("address").removeprefix("pid ") for one in mine["instances"]}
    assert mine["instances"] == [{"state": "ready", "capacity": 3, "open": 0}] * 2


def test_a_plugin_that_does_not_start_is_listed_with_its_stderr(stepflow: Stepflow) -> None:
    files = {"stepflow-config_yml": CONFIG, "components_py": "import no_such_module\n"}
    stepflow.write(**files)
    ended = stepflow("plugins", "list")
    assert ended.code == 3
    lines = ended.stdout.splitlines()
    (mine,) = [at for at, line in enumerate(lines) if line.startswith("mine")]
    assert lines[mine].split()[:4] == ["mine", "stepflow", "stdio", "unhealthy"]
    assert "ended before it answered" in lines[mine + 1]
    assert any(line.startswith("  | ") and "no_such_module" in line for line in lines)
    listed = json.loads(stepflow("plugins", "list", "--format", "json").stdout)["plugins"]
    assert "no_such_module" in listed[1]["lastWords"]
