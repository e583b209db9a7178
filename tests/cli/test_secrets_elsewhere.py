"""None of fifty secrets is shown around a run: in overrides, documents, configurations, displays and test cases."""

import json
import random
import signal
from typing import Any

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import BUILTIN
from tests.cli.secret_values import Secrets, fifty
from tests.cli.serving import begin
from tests.cli.test_fifty_secrets import (
    COMPONENTS,
    CONFIG,
    SEEDS,
    STEPS,
    assert_tells_nothing,
    document,
    given,
)
from tests.cli.test_fifty_secrets import (
    flow as flow_of,
)
from tests.cli.test_terminal import on_a_terminal

GIVEN = ("--input", "inputs.json", "--variables", "variables.json")


def prepare(stepflow: Stepflow, secrets: Secrets, flow: str) -> None:
    inputs, variables = given(secrets)
    stepflow.write(
        flow_yaml=flow,
        components_py=COMPONENTS,
        inputs_json=json.dumps(inputs, ensure_ascii=False),
        variables_json=json.dumps(variables),
    )


def strings(secrets: Secrets, least: int = 10) -> list[str]:
    return [
        value for value in secrets.values.values() if isinstance(value, str) and len(value) >= least
    ]


def merge(**changes: Any) -> dict[str, Any]:
    return {"$type": "merge_patch", "value": changes}


def patch(**operation: Any) -> dict[str, Any]:
    return {"$type": "json_patch", "value": [operation]}


def overrides(secrets: Secrets) -> dict[str, dict[str, Any]]:
    """Return wrong overrides that contain a secret, by what is wrong with them."""
    names = [f"v_{name}" for name in list(secrets.values)[25:]]
    secret = strings(secrets)[0]
    given = {"all": [{"$input": "$"}, *({"$variable": name, "default": secret} for name in names)]}
    input = {"input": given}
    return {
        "the step fails": {"steps": {"work": merge(**input)}},
        "the step dies": {"steps": {"work": merge(component="/python/dies", **input)}},
        "the input does not fit": {"steps": {"work": merge(component="/python/typed", **input)}},
        "no such step": {"steps": {"wrk": merge(**input)}},
        "no such component": {"steps": {"work": merge(component="/nowhere/x", **input)}},
        "a key is misspelt": {"steps": {"work": merge(tiemout=1, **input)}},
        "a key means nothing": {"steps": {"work": merge(input={**given["all"][1], "bogus": 1})}},
        "a time is wrong": {"steps": {"work": merge(timeout="soon", **input)}},
        "no such operation": {"steps": {"work": patch(op="ad", path="/input", value=given)}},
        "nothing is there": {"steps": {"work": patch(op="add", path="/x/y", value=given)}},
        "another value is there": {"steps": {"work": patch(op="test", path="/input", value=given)}},
        "a step that is none": {
            "steps": {
                "work": merge(
                    input={"$variable": names[0], "default": {"$step": strings(secrets)[1]}}
                )
            }
        },
    }


OVERRIDES = sorted(overrides(fifty(random.Random(0))))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("wrong", OVERRIDES)
def test_wrong_overrides_show_no_secret(stepflow: Stepflow, wrong: str, seed: int) -> None:
    secrets = fifty(random.Random(seed))
    prepare(stepflow, secrets, document(STEPS["a component raises"], secrets))
    stepflow.write(overrides_json=json.dumps(overrides(secrets)[wrong]))
    ended = stepflow("run", "flow.yaml", *GIVEN, "--overrides", "overrides.json")
    assert ended.code == 1, ended
    for told in (ended.stdout, ended.stderr):
        assert_tells_nothing(told, secrets, seed)


def test_unreadable_overrides_are_reported_without_their_text(stepflow: Stepflow) -> None:
    secrets = fifty(random.Random(1))
    prepare(stepflow, secrets, document(STEPS["a component raises"], secrets))
    ended = stepflow("run", "flow.yaml", *GIVEN, "--overrides-yaml", "steps: {work: sesame: x}")
    assert ended.code == 2 and "--overrides-yaml:1:" in ended.stderr
    assert "sesame" not in ended.stderr


DOCUMENT = """\
name: login
schemas:
  properties:
    input:
      $defs: {{key: {{is_secret: true, default: {1}, WRONG_DEFINITION}}}}
      properties: {{key: {{$ref: "#/$defs/key"}}, pin: {{is_secret: true, enum: [{2}], const: {3}, WRONG_SCHEMA}}}}
      allOf: [{{default: {{key: {4}}}, WRONG_DEFAULT}}]
    variables: {{properties: {{token: {{type: string, is_secret: true, default: {5}}}, lang: {{}}}}}}
examples:
- {{name: one, input: {{key: {6}}}, WRONG_EXAMPLE}}
steps:
- {{id: a, component: /python/raises, input: {{a: {{$variable: token, default: {7}, WRONG_REFERENCE}}}}}}
- {{id: b, component: /python/raises, input: {{a: {{$variable: "$.token.x", default: {8}}}}}}}
output: {{$step: a}}
test:
  cases:
  - {{name: one, input: {{key: {9}, pin: [{10}]}}, WRONG_CASE, mocks: {{/python/raises: {{output: 1}}}}}}
  - {{name: two, input: {{key: {9}, pin: [{10}]}}, mocks: {{/python/raises: {{WRONG_MOCK, output: 1}}}}}}
"""

MISTAKES = {
    "WRONG_DEFINITION": "minLength: x",
    "WRONG_SCHEMA": "pattern: 7",
    "WRONG_DEFAULT": "minProperties: x",
    "WRONG_EXAMPLE": "bogus: 1",
    "WRONG_REFERENCE": "bogus: 1",
    "WRONG_CASE": "bogus: 1",
    "WRONG_MOCK": "otput: 1",
}

VALUES_THAT_ARE_WRONG = {
    "a value that is no list": ("enum: [SuperSecret2]", "enum: SuperSecret2"),
    "a step that is none": ("default: SuperSecret8", "default: {$step: SuperSecret8}"),
}


@pytest.mark.parametrize("mistake", [*MISTAKES, *VALUES_THAT_ARE_WRONG])
def test_no_excerpt_of_a_flow_shows_a_secret_that_is_written_there(
    stepflow: Stepflow, mistake: str
) -> None:
    text = DOCUMENT.format(*(f"SuperSecret{number}" for number in range(11)))
    for place, wrong in MISTAKES.items():
        before = ", " if f", {place}" in text else ""
        text = text.replace(before + place, before + wrong if place == mistake else "")
        text = text.replace("{, ", "{")
    text = text.replace(*VALUES_THAT_ARE_WRONG.get(mistake, ("", "")))
    stepflow.write(flow_yaml=text, components_py=COMPONENTS)
    seen = ""
    for command in ("validate", "run", "test", "visualize"):
        arguments = ("--output", "flow.dot") if command == "visualize" else ()
        ended = stepflow(command, "flow.yaml", *arguments)
        seen += ended.stdout + ended.stderr
    seen += stepflow("validate", "flow.yaml", "--format", "json").stdout
    assert "flow.yaml:" in seen and "***" in seen, seen
    assert "SuperSecret" not in seen


UP = """\
plugins: {p: {type: stepflow, command: sh, args: [-c, 'echo {\\"port\\": 1}; cat'],
  healthCheck: {path: 'PATH', timeoutMs: 50}}}"""

VALUES = [
    "plugins: {p: {type: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: 'bin/${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: sh, args: [-c, 'echo ${SECRET}; exit 3']}}",
    "plugins: {p: {type: stepflow, command: sh, args: [-c, 'echo ${SECRET} >&2; exit 3']}}",
    "plugins: {p: {type: stepflow, command: env, env: {KEY: '${SECRET}'}}}",
    "plugins: {p: {type: stepflow, command: sh, args: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: sh, transport: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: sh, inheritEnv: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: sh, maxConcurrency: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, command: sh, startTimeout: '${SECRET}'}}",
    UP.replace("PATH", "/${SECRET}"),
    UP.replace("PATH", "${SECRET}"),
    "plugins: {p: {type: stepflow, url: '${SECRET}'}}",
    "plugins: {p: {type: stepflow, startTimeout: 100ms, url: 'http://127.0.0.1:1/${SECRET}'}}",
    "plugins: {p: {type: stepflow, startTimeout: 100ms, url: ['ftp://${SECRET}']}}",
    "plugins: {p: {type: stepflow, url: 'http://127.0.0.1:1', token: ['${SECRET}']}}",
    "plugins: {p: {type: builtin, allowPaths: '${SECRET}'}}",
    "plugins: {p: {type: builtin, openai: {baseUrls: ['${SECRET}']}}}",
    "plugins: {p: {type: mock, components: {/x: '${SECRET}'}}}",
    "plugins: {p: {type: mock, components: {/x: {output: '${SECRET}', outptu: 1}}}}",
    "server: {host: '${SECRET}.invalid'}",
    "server: {host: 'http://${SECRET}'}",
    "server: {port: '${SECRET}'}",
    "server: {allowedHosts: ['${SECRET}:1']}",
    "server: {cors: {origins: ['${SECRET}']}}",
    "workingDirectory: '${SECRET}'",
    "stateStore: {type: '${SECRET}'}",
    "stateStore: {type: inMemory, keepFinished: '${SECRET}'}",
    "defaults: {timeout: '${SECRET}'}",
    "retry: {backoff: {type: constant, delay: '${SECRET}'}}",
    "routes: {'/x/{*component}': [{plugin: '${SECRET}'}]}",
    "routes: {'/x/{*component}': [{plugin: p, component: '/{${SECRET}}'}]}",
    "routes: {'/x/{*component}': [{plugin: p, conditions: [{path: '${SECRET}', value: 1}]}]}",
    "routes: {'/x/{*component}': [{plugin: p, conditions: [{path: $.x, value: '${SECRET}'}]}]}",
    "routes: {'/x/{*component}': [{plugin: p, componentAllow: '${SECRET}'}]}",
]


@pytest.mark.parametrize("value", VALUES)
def test_no_error_of_a_configuration_shows_a_variable(stepflow: Stepflow, value: str) -> None:
    parts = {
        "plugins": "plugins: {p: {type: builtin}}",
        "routes": "routes: {'/x/{*component}': [{plugin: p}]}",
    }
    parts[value.partition(":")[0]] = value
    stepflow.write(flow_yaml=BUILTIN.replace("/builtin/noop", "/x/noop"))
    (stepflow.folder / "stepflow-config.yml").write_text("\n".join(parts.values()) + "\n")
    command = "serve" if value.startswith("server") else "run"
    ended = stepflow(
        command, *(["flow.yaml"] if command == "run" else []), env={"SECRET": "sesame-9x"}
    )
    assert ended.code != 0, ended
    assert "sesame-9x" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch", [False, True])
def test_the_live_display_shows_no_secret(stepflow: Stepflow, batch: bool, seed: int) -> None:
    secrets = fifty(random.Random(seed))
    given_in = GIVEN
    prepare(stepflow, secrets, document(STEPS["a step is tried again"], secrets))
    if batch:
        line = (stepflow.folder / "inputs.json").read_text(encoding="utf-8") + "\n"
        (stepflow.folder / "inputs.jsonl").write_text(line * 3, encoding="utf-8")
        given_in = ("--inputs", "inputs.jsonl", *GIVEN[2:])
    code, written = on_a_terminal(stepflow, "run", "flow.yaml", *given_in)
    assert code == 1 and "\x1b[" in written and "[REDACTED]" in written, written
    assert_tells_nothing(written, secrets, seed)
    # A terminal has its own line ends.
    assert_tells_nothing(written.replace("\r\n", "\n"), secrets, seed)


def test_the_name_of_a_repeated_member_in_a_secret_is_not_shown(stepflow: Stepflow) -> None:
    secrets = fifty(random.Random(2))
    prepare(stepflow, secrets, document(STEPS["a component raises"], secrets))
    twice = '{"s00": {"TheNameIsSecret": 1, "TheNameIsSecret": 2}}'
    (stepflow.folder / "inputs.jsonl").write_text(twice + "\n", encoding="utf-8")
    for inputs in (("--inputs", "inputs.jsonl"), ("--input-json", twice)):
        ended = stepflow("run", "flow.yaml", *inputs, *GIVEN[2:])
        assert ended.code in (1, 2) and "TheNameIsSecret" not in ended.stderr, ended.stderr


@pytest.mark.parametrize("seed", SEEDS)
def test_no_report_of_a_test_shows_a_secret(stepflow: Stepflow, seed: int) -> None:
    secrets = fifty(random.Random(seed))
    flow = flow_of("", secrets)
    flow["steps"] = [
        {"id": "work", "component": "/python/raises", "input": {"all": {"$input": "$"}}}
    ]
    inputs, _ = given(secrets)
    del flow["schemas"]["properties"]["variables"]
    quoting = f"{inputs} {json.dumps(inputs)}"
    mocks = [
        {"output": {"said": quoting, "all": inputs}},
        {"error": {"message": quoting, "data": inputs}},
        None,
    ]
    expectations: list[dict[str, Any]] = [
        {"output": {"outcome": "success", "result": {"said": quoting + "x", "all": {"x": inputs}}}},
        {"output": {"outcome": "failed", "error": {"message": quoting + "x", "data": inputs}}},
        {"expectSteps": {"work": {"error": {"message": quoting + "x"}}}},
        {},
    ]
    flow["test"] = {
        "cases": [
            {"name": f"{m} {e}", "input": inputs, **expected}
            | ({"mocks": {"/python/raises": mock}} if mock else {})
            for m, mock in enumerate(mocks)
            for e, expected in enumerate(expectations)
        ]
    }
    stepflow.write(flow_yaml=json.dumps(flow), components_py=COMPONENTS)
    ended = stepflow("test", "flow.yaml", "--junit", "report.xml")
    assert ended.code == 1 and "12 cases: " in ended.stdout, ended
    report = (stepflow.folder / "report.xml").read_text(encoding="utf-8")
    for told in (ended.stdout, ended.stderr, report):
        assert_tells_nothing(told, secrets, seed)


def test_the_log_does_not_repeat_what_a_worker_prints_between_messages(stepflow: Stepflow) -> None:
    """A worker prints its input between its messages."""
    worker = "import sys\nfor line in sys.stdin:\n    print('got', line, end='', flush=True)\n"
    config = CONFIG.replace(
        "command: stepflow-worker, args: [components.py]", "command: python3, args: [w.py]"
    )
    stepflow.write(w_py=worker, **{"stepflow-config_yml": config})
    server = begin(stepflow, "--log-level", "info")
    try:
        server("GET", "/ready")
        skipped = server.process.stderr
        assert skipped is not None
        line = next(line for line in skipped if "not a message" in line)
        assert "got" not in line and "initialize" not in line
    finally:
        server.process.send_signal(signal.SIGTERM)
        stepflow.end(server.process)
