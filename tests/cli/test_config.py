"""Configurations in use: published files, and the effect of each setting."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP, component

PUBLISHED_0_9 = """\
plugins:
  builtin:
    type: builtin
  python:
    type: stepflow
    command: stepflow_worker
    args: ["components.py"]
routes:
  "/python/{*component}":
    - plugin: python
  "/builtin/{*component}":
    - plugin: builtin
stateStore:
  type: inMemory
"""


def configured(stepflow: Stepflow, text: str, flow: str) -> None:
    stepflow.write(flow_yaml=flow)
    (stepflow.folder / "stepflow-config.yml").write_text(text, encoding="utf-8")


def test_a_published_file_runs_unchanged_with_our_worker_behind_its_name(
    stepflow: Stepflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Path(sys.executable).with_name("stepflow-worker")
    assert worker.exists(), worker
    names = stepflow.folder / "bin"
    names.mkdir()
    (names / "stepflow_worker").symlink_to(worker)
    monkeypatch.setenv("PATH", f"{names}{os.pathsep}{os.environ['PATH']}")
    assert shutil.which("stepflow_worker") == str(names / "stepflow_worker")
    configured(stepflow, PUBLISHED_0_9, ONE_STEP)
    stepflow.write(components_py=component("return {'n': input['n'] + 1}"))
    ended = stepflow("run", "flow.yaml", "--input-json", '{"n": 1}')
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout) == {"outcome": "success", "result": {"n": 2}}


def test_a_configuration_may_come_from_stdin(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=BUILTIN)
    text = 'plugins: {b: {type: builtin}}\nroutes: {"/builtin": [{plugin: b}]}\n'
    ended = stepflow("run", "flow.yaml", "--input-json", "7", "--config", "-", stdin=text)
    assert (ended.code, ended.stdout.strip()) == (0, '{"outcome":"success","result":7}')
    wrong = stepflow("run", "flow.yaml", "--config", "-", stdin="plugin: {}")
    assert wrong.code == 3
    assert "stdin:1:1" in wrong.stderr


def test_a_condition_of_a_route_looks_at_the_input(stepflow: Stepflow) -> None:
    config = """\
plugins: {b: {type: builtin}}
routes:
  "/builtin/{*component}":
    - {plugin: b, conditions: [{path: $.kind, value: a}]}
"""
    configured(stepflow, config, BUILTIN)
    fits = stepflow("run", "flow.yaml", "--input-json", '{"kind": "a"}')
    assert fits.code == 0, fits.stderr
    other = stepflow("run", "flow.yaml", "--input-json", '{"kind": "b"}')
    assert other.code == 1
    assert json.loads(other.stdout)["error"]["kind"] == "COMPONENT_NOT_FOUND"
    assert "no rule of the route" in other.stderr


def test_a_step_takes_no_longer_than_the_default_timeout(stepflow: Stepflow) -> None:
    config = """\
defaults: {timeout: 100ms}
plugins: {python: {type: stepflow, command: stepflow-worker, args: [components.py]}}
routes: {"/python": [{plugin: python}]}
"""
    configured(stepflow, config, ONE_STEP)
    stepflow.write(components_py=component("import time\ntime.sleep(600)\nreturn {}"))
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 1
    assert json.loads(ended.stdout)["error"]["kind"] == "TIMEOUT"


def test_a_worker_inherits_the_settings_of_its_plugin(stepflow: Stepflow) -> None:
    config = """\
plugins:
  python:
    type: stepflow
    command: stepflow-worker
    args: [components.py]
    inheritEnv: [PATH, SEEN, TEST_STEPFLOW_MARK]
routes: {"/python": [{plugin: python}]}
"""
    configured(stepflow, config, ONE_STEP)
    body = "import os\nreturn {name: os.environ.get(name) for name in ('SEEN', 'HIDDEN')}"
    stepflow.write(components_py=component(body))
    env = {"SEEN": "yes", "HIDDEN": "yes"}
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--output-only", env=env)
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout) == {"SEEN": "yes", "HIDDEN": None}


OURS = {
    "STEPFLOW_VAR_KEY": "sesame",
    "STEPFLOW_TOKEN": "sesame",
    "STEPFLOW_URL": "http://127.0.0.1:1",
    "STEPFLOW_WORKER_TOKEN": "sesame",
    "STEPFLOW_ANYTHING": "sesame",
}


@pytest.mark.parametrize(
    ("setting", "seen"),
    [
        ("", {"OTHER": "yes", "STEPFLOW_WORKER_PORT": "0"}),
        ("env: {STEPFLOW_ANYTHING: set}", {"OTHER": "yes", "STEPFLOW_ANYTHING": "set"}),
        ("inheritEnv: [PATH, STEPFLOW_VAR_KEY]", {"STEPFLOW_VAR_KEY": "sesame"}),
        ("inheritEnv: [PATH, OTHER, PORT]", {"OTHER": "yes"}),
        ("inheritEnv: false\n    env: {PATH: '${PATH}'}", {}),
    ],
)
def test_a_worker_sees_none_of_our_variables_unless_it_is_listed(
    stepflow: Stepflow, setting: str, seen: dict[str, str]
) -> None:
    config = f"""\
server: {{port: "${{PORT}}"}}
plugins:
  python:
    type: stepflow
    command: stepflow-worker
    args: [components.py]
    {setting}
routes: {{"/python": [{{plugin: python}}]}}
"""
    configured(stepflow, config, ONE_STEP)
    body = (
        "import os\n"
        "return {k: v for k, v in os.environ.items() if k[:9] == 'STEPFLOW_' or k in ('OTHER', 'PORT')}"
    )
    stepflow.write(components_py=component(body))
    env = OURS | {"OTHER": "yes", "PORT": "0"}
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", "--output-only", env=env)
    assert ended.code == 0, ended.stderr
    shown = json.loads(ended.stdout)
    assert shown.pop("STEPFLOW_WORKER_MARK")
    assert shown == {"STEPFLOW_WORKER_PORT": "0"} | seen


FAR = """\
plugins:
  builtin: {type: builtin}
  far: {type: stepflow, url: "http://192.0.2.1", token: "${FAR_TOKEN}", startTimeout: 100ms}
routes:
  "/builtin": [{plugin: builtin}]
"""


def test_a_token_that_others_can_read_causes_a_warning(stepflow: Stepflow) -> None:
    configured(stepflow, FAR, BUILTIN)
    env = {"FAR_TOKEN": "12345"}
    process = stepflow.start("serve", "--port", "0", env=env)
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"port":')
    process.terminate()
    for ended in (
        stepflow.end(process),
        stepflow("run", "flow.yaml", "--input-json", "1", env=env),
        stepflow("validate", "flow.yaml", env=env),
    ):
        assert ended.code == 0, ended.stderr
        assert ended.stderr.count("warning[1901]") == 1, ended.stderr
        assert "stepflow-config.yml:3:" in ended.stderr
        assert "12345" not in ended.stderr


def test_the_working_directory_is_where_files_are_read(stepflow: Stepflow) -> None:
    config = "workingDirectory: files\nplugins: {b: {type: builtin, allowPaths: [more]}}\n"
    config += 'routes: {"/builtin": [{plugin: b}]}\n'
    configured(stepflow, config, BUILTIN.replace("noop", "load_file"))
    for name in ("files/a.yaml", "more/b.yaml", "c.yaml"):
        path = stepflow.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from: {name}\n")
    for asked, read in {"a.yaml": "files/a.yaml", "../more/b.yaml": "more/b.yaml"}.items():
        ended = stepflow("run", "flow.yaml", "--input-json", json.dumps({"path": asked}))
        assert ended.code == 0, ended.stderr
        assert json.loads(ended.stdout)["result"]["data"] == {"from": read}
    ended = stepflow("run", "flow.yaml", "--input-json", '{"path": "../c.yaml"}')
    assert ended.code == 1
    assert "outside the working directory" in ended.stderr


def test_serve_listens_where_the_configuration_says(stepflow: Stepflow) -> None:
    stepflow.write()
    (stepflow.folder / "stepflow-config.yml").write_text("server: {port: 0, host: '127.0.0.2'}\n")
    process = stepflow.start("serve")
    assert process.stdout is not None
    assert process.stdout.readline().startswith('{"port":')
    process.terminate()
    ended = stepflow.end(process)
    assert ended.code == 0, ended.stderr
    assert "http://127.0.0.2:" in ended.stderr


def test_a_configuration_does_not_open_the_server_to_others(stepflow: Stepflow) -> None:
    (stepflow.folder / "stepflow-config.yml").write_text("server: {port: 0, host: '0.0.0.0'}\n")
    ended = stepflow("serve")
    assert (ended.code, ended.stdout) == (3, "")
    assert "`server.host` in" in ended.stderr and "`0.0.0.0`" in ended.stderr
    assert "--insecure" in ended.stderr


def test_a_published_mock_answers_by_input(stepflow: Stepflow) -> None:
    config = """\
plugins:
  mocks:
    type: mock
    components:
      /greet:
        input_schema: {type: object}
        output_schema: {type: object}
        behaviors:
          ? {name: Ann, n: 1}
          : {outcome: success, result: {text: Hello Ann}}
routes:
  "/builtin": [{plugin: mocks}]
"""
    configured(stepflow, config, BUILTIN.replace("noop", "greet"))
    ended = stepflow("run", "flow.yaml", "--input-json", '{"n": 1, "name": "Ann"}')
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"] == {"text": "Hello Ann"}


@pytest.mark.parametrize(
    "plugin",
    [
        {"command": "stepflow-worker", "args": ["--max-concurrency", "${SEC}", "none.py"]},
        {"command": "/nowhere/${SEC}"},
        {"command": "no-such-${SEC}"},
        {"url": "http://127.0.0.1:9/${SEC}"},
    ],
    ids=["args", "path", "command", "url"],
)
def test_the_error_of_a_worker_that_does_not_start_shows_no_variable(
    stepflow: Stepflow, plugin: dict[str, object]
) -> None:
    plugins = {"p": {"type": "stepflow", **plugin}}
    routes = {"/python/{*component}": [{"plugin": "p"}]}
    config = {"plugins": plugins, "routes": routes}
    stepflow.write(flow_yaml=ONE_STEP, c_yml=json.dumps(config))
    command = ("run", "flow.yaml", "--config", "c.yml", "--input-json", "{}")
    ended = stepflow(*command, "--log-level", "debug", env={"SEC": "S3CR3T-value"})
    assert ended.code == 3, ended.stderr
    assert "${SEC}" in ended.stderr and "S3CR3T" not in ended.stderr + ended.stdout, ended.stderr
