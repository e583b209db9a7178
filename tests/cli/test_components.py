"""`stepflow components list`: what flows can call, by the paths that they write."""

import json

from tests.cli.conftest import Stepflow
from tests.cli.flows import SERVER

TWO = (
    SERVER.replace("\n\n\n@server.component\n", "\n\n\n")
    + """\
@server.component
def clean(input: dict) -> dict:
    \"\"\"Takes out what cannot be used.\"\"\"
    return {}


@server.component
def draw(input: dict) -> dict:
    return {}
"""
)

CONFIG = """\
plugins:
  builtin: {type: builtin}
  mine: {type: stepflow, command: stepflow-worker, args: [components.py]}
routes:
  "/tools/{*component}": [{plugin: mine}]
  "/builtin/{*component}": [{plugin: builtin}]
"""


def test_the_table_has_paths_plugins_and_descriptions(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": TWO})
    ended = stepflow("components", "list")
    assert ended.code == 0, ended.stderr
    head, *rows = ended.stdout.splitlines()
    assert head.split() == ["COMPONENT", "PLUGIN", "DESCRIPTION"]
    assert [row.split()[:2] for row in rows if row.startswith("/tools")] == [
        ["/tools/clean", "mine"],
        ["/tools/draw", "mine"],
    ]
    assert any(row.endswith("Takes out what cannot be used.") for row in rows)
    assert any(row.startswith("/builtin/noop ") for row in rows)
    assert rows == sorted(rows)


def test_the_list_is_data_for_machines(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": TWO})
    listed = json.loads(stepflow("components", "list", "--format", "json").stdout)
    assert (listed["complete"], listed["failedPlugins"]) == (True, [])
    (clean,) = [one for one in listed["components"] if one["component"] == "/tools/clean"]
    assert clean == {
        "component": "/tools/clean",
        "description": "Takes out what cannot be used.",
        "plugin": "mine",
    }


def test_schemas_are_shown_when_they_are_asked_for(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": TWO})
    ended = stepflow("components", "list", "--format", "json", "--schemas")
    listed = json.loads(ended.stdout)["components"]
    (load_file,) = [one for one in listed if one["component"] == "/builtin/load_file"]
    assert "path" in load_file["input_schema"]["properties"]
    assert "output_schema" in load_file


def test_the_published_name_of_the_command_works(stepflow: Stepflow) -> None:
    ended = stepflow("list-components")
    assert ended.code == 0, ended.stderr
    assert "/builtin/noop" in ended.stdout


def test_one_plugin_that_does_not_start_hides_nothing_of_the_others(stepflow: Stepflow) -> None:
    stepflow.write(**{"stepflow-config_yml": CONFIG, "components_py": "import no_such_module\n"})
    ended = stepflow("components", "list", "--format", "json")
    assert ended.code == 3
    assert "no_such_module" in ended.stderr
    listed = json.loads(ended.stdout)
    assert listed["complete"] is False
    assert [one["plugin"] for one in listed["failedPlugins"]] == ["mine"]
    assert any(one["component"] == "/builtin/noop" for one in listed["components"])


def test_a_named_worker_is_listed_without_a_configuration(stepflow: Stepflow) -> None:
    stepflow.write(other_py=TWO)
    ended = stepflow("components", "list", "--worker", "other.py")
    assert "/python/clean" in ended.stdout, ended.stderr
