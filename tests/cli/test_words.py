"""What messages say to people who leave a server running."""

import json
import sqlite3

import pytest

from tests.cli.conftest import Doorbell, Stepflow
from tests.cli.flows import BUILTIN, ONE_STEP, component
from tests.cli.serving import begin, killed, serving

SLEEP = """\
name: sleeper
steps:
  - {id: sleep, component: /builtin/sleep, input: {duration_ms: 3600000}}
output: {$step: sleep}
"""


@pytest.mark.server
@pytest.mark.parametrize(
    ("runs", "said"), [(1, "1 unfinished run goes on"), (2, "2 unfinished runs go on")]
)
def test_a_server_says_how_many_runs_go_on(stepflow: Stepflow, runs: int, said: str) -> None:
    with killed(stepflow) as server:
        for _ in range(runs):
            assert server("POST", "/runs", {"flow": SLEEP, "input": [1]}).status == 202
        assert server("POST", "/runs", {"flow": BUILTIN, "input": [1], "wait": True}).status == 200
    server = begin(stepflow)
    server.process.terminate()
    ended = stepflow.end(server.process)
    assert said in ended.stderr.splitlines()


@pytest.mark.server
def test_a_server_without_unfinished_runs_says_nothing_of_them(stepflow: Stepflow) -> None:
    with serving(stepflow) as server:
        assert server("POST", "/runs", {"flow": BUILTIN, "input": [1], "wait": True}).status == 200
    server = begin(stepflow)
    server.process.terminate()
    assert "unfinished" not in stepflow.end(server.process).stderr


@pytest.mark.server
def test_memory_is_advised_only_where_no_runs_would_be_missed(stepflow: Stepflow) -> None:
    other = Stepflow(stepflow.command, stepflow.folder)
    with serving(stepflow):
        held = other("serve", "--port", "0")
        assert held.code == 3 and "is in use by" in held.stderr
        assert "--memory" not in held.stderr
    with sqlite3.connect(stepflow.folder / "foreign.db") as database:
        database.execute("CREATE TABLE other (id TEXT)")
    database.close()
    (stepflow.folder / "damaged.db").write_bytes(b"no database" * 1000)
    for name in ("foreign.db", "damaged.db"):
        stepflow.write(c_yml=f"stateStore: {{type: sqlite, path: {name}}}\n")
        refused = stepflow("serve", "--port", "0", "--config", "c.yml")
        assert (refused.code, "--memory" in refused.stderr) == (3, False), refused.stderr
    stepflow.write(c_yml="stateStore: {type: sqlite, path: c.yml/state.db}\n")
    unusable = stepflow("serve", "--port", "0", "--config", "c.yml")
    assert unusable.code == 3
    assert "hint: `stateStore.path`" in unusable.stderr and "`--memory`" in unusable.stderr


@pytest.mark.parametrize("port", ["abc", "99999", "-1", "1.5"])
def test_a_port_that_is_none_is_refused_in_plain_words(stepflow: Stepflow, port: str) -> None:
    ended = stepflow("serve", "--port", port)
    assert ended.code == 2
    assert f"'{port}'" in ended.stderr
    assert "a port is a whole number from 0 to 65535" in ended.stderr


def test_a_limit_that_is_none_is_refused_in_plain_words(stepflow: Stepflow) -> None:
    ended = stepflow("run", "flow.yaml", "--max-concurrency", "many")
    assert ended.code == 2
    assert "it is a whole number of at least 1" in ended.stderr


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("maxRetries: many", "`maxRetries` must be a whole number, and is a string"),
        ("maxRetries: -1", "`maxRetries` must be a whole number in range, not negative"),
        ("backoff: 3", "`backoff` must be an object, and is a number"),
    ],
)
def test_a_wrong_value_is_reported_with_its_key(stepflow: Stepflow, key: str, said: str) -> None:
    on_error = f"    onError: {{action: retry, {key}}}\n"
    stepflow.write(flow_yaml=BUILTIN.replace("output:", f"{on_error}output:"))
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    assert ended.code == 1
    (found,) = [
        one for one in json.loads(ended.stdout)[0]["diagnostics"] if one["level"] == "fatal"
    ]
    assert found["formatted"].startswith(said), found


def test_an_input_that_its_component_refuses_is_an_error_before_anything_runs(
    stepflow: Stepflow,
) -> None:
    flow = (
        "steps:\n"
        "  - {id: paid, component: /python/work, input: {$input: $}}\n"
        "  - id: each\n"
        "    component: /builtin/map\n"
        "    input: {itms: {$step: paid}, workflow: {$literal: {output: 1}}}\n"
        "  - {id: keep, component: /builtin/put_blob, input: {data: 1, blobtype: data}}\n"
        "  - {id: none, component: /builtin/get_blob}\n"
        "output: [{$step: each}, {$step: keep}, {$step: none}]\n"
    )
    stepflow.write(flow_yaml=flow, components_py=component("open('paid', 'w').close()\nreturn {}"))
    checked = stepflow("validate", "flow.yaml")
    assert checked.code == 1
    assert "error[2502]: `/builtin/map` needs the field `items` here" in checked.stderr
    assert "warning[1006]: `/builtin/map` takes no field `itms`" in checked.stderr
    assert "error[2502]: `/builtin/put_blob` takes no field `blobtype`" in checked.stderr
    assert "error[2502]: `/builtin/get_blob` needs the field `blob_id` here" in checked.stderr
    assert "flow.yaml:5:12" in checked.stderr and "flow.yaml:6:63" in checked.stderr
    ran = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert (ran.code, ran.stdout) == (1, "")
    assert "error[2502]" in ran.stderr and not (stepflow.folder / "paid").exists()
    forced = stepflow("run", "flow.yaml", "--input-json", "{}", "--no-check")
    assert "INVALID_INPUT" in forced.stdout and (stepflow.folder / "paid").exists()


def test_a_configuration_can_be_checked_alone(stepflow: Stepflow) -> None:
    good = "plugins: {b: {type: builtin}}\nroutes: {/builtin: [{plugin: b}]}\n"
    stepflow.write(good_yml=good, bad_yml=good + "retention: {runs: month}\n")
    stepflow.write(soon_yml=good + "limits: {openRuns: 3}\n")
    ended = stepflow("validate", "--config", "good.yml")
    assert (ended.code, ended.stdout) == (0, "")
    assert ended.stderr == "`good.yml`: valid, 1 plugin, 1 route\n"
    wrong = stepflow("validate", "-c", "bad.yml")
    assert wrong.code == 3 and "bad.yml:3:19" in wrong.stderr, wrong.stderr
    later = stepflow("validate", "-c", "soon.yml")
    assert later.code == 0 and "`limits` is not built yet" in later.stderr
    assert stepflow("validate").code == 2


@pytest.mark.server
def test_a_worker_that_does_not_start_is_told_apart_from_what_it_wrote(stepflow: Stepflow) -> None:
    stepflow.write(components_py="import no_such_module\n")
    server = begin(stepflow, "--worker", "components.py")
    while not (degraded := server("GET", "/ready").body["degraded"]) or "starting" in str(degraded):
        pass
    (reason,) = [plugin["reason"] for plugin in degraded]
    assert reason.endswith("(exit status 1)") or "ended before it answered" in reason
    assert "stderr" not in reason and "no_such_module" not in reason
    server.process.terminate()
    ended = stepflow.end(server.process)
    assert "no_such_module" in ended.stderr and "see why\n" in ended.stderr


@pytest.mark.server
def test_the_log_names_the_plugin_before_the_message(
    stepflow: Stepflow, doorbell: Doorbell
) -> None:
    body = "import os\nopen('doorbell', 'w').write('x')\nos._exit(3)"
    stepflow.write(components_py=component(body))
    server = begin(stepflow, "--worker", "components.py")
    assert server("POST", "/runs", {"flow": ONE_STEP, "input": [{}]}).status == 202
    doorbell.wait()
    assert server.process.stderr is not None
    while "worker" not in (line := server.process.stderr.readline()) or "WARN" not in line:
        assert line
    assert ' WARN plugin="python": the worker ended: ' in line
    server.process.terminate()
    stepflow.end(server.process)
