"""Configurations that a new user gets wrong: exit 3, with file, line and column."""

import re

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN

GOOD = """\
plugins:
  builtin: {type: builtin}
routes:
  "/builtin/{*component}": [{plugin: builtin}]
"""

WRONG = {
    "a route to a plugin that is not there": (
        GOOD.replace("plugin: builtin}", "plugin: bultin}"),
        4,
        ["`bultin`", "`builtin`"],
    ),
    "an unknown key": (GOOD + "plugin: {}\n", 5, ["`plugin`", "`plugins`"]),
    "an unknown key of a plugin": (
        GOOD.replace("type: builtin}", "type: stepflow, comand: x}"),
        2,
        ["`comand`", "`command`"],
    ),
    "an unknown type": (
        GOOD.replace("type: builtin", "type: bultin"),
        2,
        ["`bultin`", "`builtin`"],
    ),
    "a worker without a command": (
        GOOD.replace("type: builtin", "type: stepflow"),
        2,
        ["`command`"],
    ),
    "a value of another type": (
        GOOD.replace("type: builtin}", "type: stepflow, command: w, args: 3}"),
        2,
        ["`args`"],
    ),
    "a route that is no pattern": (GOOD.replace('"/builtin/', '"builtin/'), 4, ["builtin/"]),
    "a variable that is not set": (
        GOOD.replace("type: builtin}", "type: stepflow, command: '${NOT_SET}'}"),
        2,
        ["`NOT_SET`", "`command`"],
    ),
    "broken YAML": (GOOD + "x: [1\n", 5, []),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named_with_its_place(stepflow: Stepflow, mistake: str) -> None:
    text, line, named = WRONG[mistake]
    stepflow.write(flow_yaml=BUILTIN)
    (stepflow.folder / "stepflow-config.yml").write_text(text)
    ended = stepflow("run", "flow.yaml", "--input-json", "1")
    assert (ended.code, ended.stdout) == (3, ""), ended.stderr
    assert re.search(rf"stepflow-config\.yml:{line}:\d+", ended.stderr), ended.stderr
    assert all(name in ended.stderr for name in named), ended.stderr


@pytest.mark.parametrize(
    "key",
    [
        "defaults: {maxConcurrency: '${SECRET}'}",
        "defaults: {timeout: '${SECRET}'}",
        "retry: {backoff: {type: '${SECRET}'}}",
        "workingDirectory: 'no-${SECRET}'",
    ],
)
def test_a_mistake_names_the_variable_and_not_what_it_holds(stepflow: Stepflow, key: str) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    (stepflow.folder / "stepflow-config.yml").write_text(GOOD + key + "\n")
    for command in (["serve"], ["run", "flow.yaml"], ["validate", "flow.yaml"]):
        ended = stepflow(*command, env={"SECRET": "sesame"})
        assert (ended.code, ended.stdout) == (3, ""), ended.stderr
        assert "`SECRET`" in ended.stderr and "sesame" not in ended.stderr
        assert "stepflow-config.yml:5:" in ended.stderr


def test_a_password_in_an_address_is_refused_and_not_shown(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    far = "  far: {type: stepflow, url: 'http://user:sesame@127.0.0.1:1'}\nroutes:"
    (stepflow.folder / "stepflow-config.yml").write_text(GOOD.replace("routes:", far))
    ended = stepflow("run", "flow.yaml", "--input-json", "1")
    assert (ended.code, ended.stdout) == (3, "")
    assert "`token`" in ended.stderr and "sesame" not in ended.stderr
    assert "stepflow-config.yml:3:" in ended.stderr


NOT_BUILT = {
    "stateStore": "stateStore: {type: postgres, databaseUrl: x}\n",
    "limits": "limits: {openRuns: 10}\n",
}


@pytest.mark.parametrize("key", NOT_BUILT)
def test_what_is_not_built_yet_is_refused_by_name(stepflow: Stepflow, key: str) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    (stepflow.folder / "stepflow-config.yml").write_text(GOOD + NOT_BUILT[key])
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (3, "")
    assert f"`{key}`" in ended.stderr and "not built yet" in ended.stderr
    assert "stepflow-config.yml:5:" in ended.stderr

    checked = stepflow("validate", "flow.yaml")
    assert checked.code == 0
    assert f"`{key}`" in checked.stderr and "warning" in checked.stderr


def test_a_worker_command_that_does_not_exist_is_named(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN.replace("/builtin/noop", "/python/noop"))
    (stepflow.folder / "stepflow-config.yml").write_text(
        "plugins:\n  python: {type: stepflow, command: no-such-worker}\n"
        'routes:\n  "/python/{*component}": [{plugin: python}]\n'
    )
    ended = stepflow("run", "flow.yaml")
    assert (ended.code, ended.stdout) == (3, "")
    assert "`no-such-worker`" in ended.stderr and "`python`" in ended.stderr
    assert "hint: " in ended.stderr


def test_a_plugin_that_the_flow_does_not_need_is_not_started(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    (stepflow.folder / "stepflow-config.yml").write_text(
        GOOD.replace("routes:", "  python: {type: stepflow, command: no-such-worker}\nroutes:")
    )
    ended = stepflow("run", "flow.yaml", "--input-json", "1")
    assert ended.code == 0, ended.stderr


def test_two_configurations_in_one_folder_are_one_too_many(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    for name in ("stepflow-config.yml", "stepflow_config.yaml"):
        (stepflow.folder / name).write_text(GOOD)
    ended = stepflow("run", "flow.yaml")
    assert ended.code == 3
    assert "`stepflow-config.yml`" in ended.stderr and "`stepflow_config.yaml`" in ended.stderr


def test_a_configuration_that_cannot_be_read_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    ended = stepflow("run", "flow.yaml", "--config", "nowhere.yml")
    assert ended.code == 2
    assert "nowhere.yml" in ended.stderr


def test_the_configuration_beside_the_flow_counts_and_is_where_workers_live(
    stepflow: Stepflow,
) -> None:
    folder = stepflow.folder / "project"
    folder.mkdir()
    (folder / "flow.yaml").write_text(BUILTIN.replace("noop", "load_file"))
    (folder / "stepflow-config.yml").write_text(GOOD)
    (folder / "data.json").write_text('{"n": 1}')
    ended = stepflow("run", "project/flow.yaml", "--input-json", '{"path": "data.json"}')
    assert ended.code == 0, ended.stderr
    assert '"n":1' in ended.stdout


def test_variables_of_the_environment_are_filled_in(stepflow: Stepflow) -> None:
    import json

    stepflow.write(flow_yaml=BUILTIN.replace("/builtin/noop", "/python/show"))
    (stepflow.folder / "worker.py").write_text(
        "import os\nfrom stepflow.worker import StepflowServer\nserver = StepflowServer()\n"
        "@server.component\ndef show(input: dict) -> dict:\n"
        "    return {'seen': os.environ['SEEN'], 'other': os.environ['OTHER']}\n"
    )
    (stepflow.folder / "stepflow-config.yml").write_text(
        "plugins:\n  python:\n    type: stepflow\n    command: stepflow-worker\n"
        "    args: ['${TARGET}.py']\n    env: {SEEN: 'a-${WORD:-none}', OTHER: 'b-${NO_WORD:none}'}\n"
        'routes:\n  "/python/{*component}": [{plugin: python}]\n'
    )
    ended = stepflow(
        "run",
        "flow.yaml",
        "--input-json",
        "{}",
        "--output-only",
        env={"TARGET": "worker", "WORD": "word"},
    )
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout) == {"seen": "a-word", "other": "b-none"}
