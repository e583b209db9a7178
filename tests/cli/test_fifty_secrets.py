"""None of fifty secrets is shown, for every failure and in every output.

`STEPFLOW_SECRETS_SEED` repeats a search, `STEPFLOW_SECRETS_CASES` makes it longer."""

import json
import os
import random
import signal
from typing import Any

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.flows import SERVER
from tests.cli.secret_values import Secrets, fifty
from tests.cli.serving import Server, begin

FIRST = int(os.environ.get("STEPFLOW_SECRETS_SEED") or random.randrange(10**9))
SEEDS = range(FIRST, FIRST + int(os.environ.get("STEPFLOW_SECRETS_CASES", "1")))

COMPONENTS = (
    SERVER.replace("from stepflow", "import base64, json, os, sys\nfrom stepflow", 1).replace(
        "import StepflowServer", "import ComponentError, StepflowServer"
    )
    + """\
def raises(input: dict) -> dict:
    raise ValueError(f"{input['all']} {json.dumps(input)} " + " ".join(map(str, leaves(input))))


@server.component
def encodes(input: dict) -> dict:
    texts = [value if isinstance(value, str) else json.dumps(value) for value in leaves(input)]
    ways = (base64.b64encode, base64.urlsafe_b64encode)
    encoded = [way(text.encode()).decode() for way in ways for text in texts if len(text) > 3]
    raise ValueError(" ".join(encoded + [each.rstrip("=") for each in encoded]))


@server.component
def attaches(input: dict) -> dict:
    kind = type(f"No{list(leaves(input))[0]}", (ComponentError,), {})
    raise kind("no", data={"input": input, "text": repr(input), str(list(leaves(input))[1]): 1})


@server.component
def dies(input: dict) -> dict:
    print(input, json.dumps(input), *leaves(input), file=sys.stderr, flush=True)
    os._exit(7)


@server.component
def typed(input: dict[str, dict[str, bool]]) -> dict:
    return {}


@server.component
def echoes(input: dict) -> dict:
    raise LookupError(str(input)) from ValueError(json.dumps(input, ensure_ascii=False))


def leaves(value):
    match value:
        case dict():
            for member in value.values():
                yield from leaves(member)
        case list():
            for element in value:
                yield from leaves(element)
        case _:
            yield value
"""
)

CONFIG = """\
plugins:
  builtin: {type: builtin}
  python: {type: stepflow, command: stepflow-worker, args: [components.py]}
routes:
  "/builtin/{*component}": [{plugin: builtin}]
  "/python/{*component}": [{plugin: python}]
"""

STEPS = {
    "a component raises": "{component: /python/raises, input: GIVEN}",
    "a component attaches data": "{component: /python/attaches, input: GIVEN}",
    "an exception has a cause": "{component: /python/echoes, input: GIVEN}",
    "a component encodes": "{component: /python/encodes, input: GIVEN}",
    "a worker dies": "{component: /python/dies, input: GIVEN}",
    "an input does not fit": "{component: /python/typed, input: GIVEN}",
    "a step is tried again": (
        "{component: /python/raises, input: GIVEN, onError: {action: retry, maxRetries: 1,"
        " backoff: {type: constant, delay: 1ms}}}"
    ),
    "a path leads nowhere": "{component: /python/raises, input: {a: {$input: $.s00.nowhere}}}",
    "a sub-flow fails": (
        "{component: /builtin/map, input: {on_item_error: fail, items: [GIVEN], workflow:"
        " {$literal: {steps: [{id: b, component: /python/raises, input: {$input: $}}],"
        " output: {$step: b}}}}}"
    ),
}


def flow(step: str, secrets: Secrets) -> dict[str, Any]:
    """Return a flow whose step gets all secrets: half of them from the input, half from variables."""
    names = list(secrets.values)
    variables = {f"v_{name}": form for name, form in secrets.schema["properties"].items()}
    given = [{"$input": "$"}, *({"$variable": f"v_{name}"} for name in names[25:])]
    text = json.dumps({"all": given})
    schemas = {
        "input": secrets.schema,
        "variables": {**secrets.schema, "properties": variables},
    }
    return {
        "schemas": {"properties": schemas},
        "steps": [{"id": "work", "WORK": step.replace("GIVEN", text)}],
        "output": {"$step": "work"},
    }


def document(step: str, secrets: Secrets) -> str:
    """Return the flow as YAML, which includes JSON."""
    whole = flow(step, secrets)
    inside = whole["steps"][0].pop("WORK")
    text = json.dumps(whole, ensure_ascii=True)
    return text.replace('{"id": "work"}', '{"id": "work", ' + inside[1:])


def given(secrets: Secrets) -> tuple[dict[str, Any], dict[str, Any]]:
    """The input, and the variables."""
    names = list(secrets.values)
    inputs = {name: secrets.values[name] for name in names[:25]}
    return inputs, {f"v_{name}": secrets.values[name] for name in names[25:]}


def assert_tells_nothing(told: str, secrets: Secrets, seed: int) -> None:
    found = [text for text in secrets.telling if text in told]
    assert not found, f"seed {seed}: {found[0]!r} is told in\n{told}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("failure", STEPS)
def test_no_output_of_the_command_shows_a_secret(
    stepflow: Stepflow, failure: str, seed: int
) -> None:
    secrets = fifty(random.Random(seed))
    inputs, variables = given(secrets)
    stepflow.write(
        flow_yaml=document(STEPS[failure], secrets),
        components_py=COMPONENTS,
        inputs_json=json.dumps(inputs, ensure_ascii=False),
        variables_json=json.dumps(variables),
    )
    arguments = ("--input", "inputs.json", "--variables", "variables.json", "--log-level", "warn")
    ended = stepflow("run", "flow.yaml", *arguments)
    assert ended.code == 1, ended.stderr
    assert '"outcome":"failed"' in ended.stdout
    for told in (ended.stdout, ended.stderr, str(json.loads(ended.stdout))):
        assert_tells_nothing(told, secrets, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_answer_and_no_log_of_the_server_shows_a_secret(stepflow: Stepflow, seed: int) -> None:
    secrets = fifty(random.Random(seed))
    stepflow.write(components_py=COMPONENTS, **{"stepflow-config_yml": CONFIG})
    server = begin(stepflow, "--log-level", "warn")
    try:
        for step in STEPS.values():
            for told in answers(server, document(step, secrets), *given(secrets)):
                assert_tells_nothing(told, secrets, seed)
    finally:
        server.process.send_signal(signal.SIGTERM)
        ended = stepflow.end(server.process)
    assert "the worker ended" in ended.stderr  # so that there is a log
    assert_tells_nothing(ended.stderr, secrets, seed)


def answers(
    server: Server, flow: str, inputs: dict[str, Any], variables: dict[str, Any]
) -> list[str]:
    """Return all answers of the API about a run that fails, and about one whose input does not fit."""
    body = {"flow": flow, "input": [inputs], "variables": variables, "wait": True}
    run = server("POST", "/runs", body)
    assert (run.status, run.body["status"]) == (200, "failed"), run
    assert run.body["result"]["error"]["kind"] != "COMPONENT_NOT_FOUND", run
    paths = [f"/runs/{run.body['runId']}{view}" for view in ("", "/items", "/steps")]
    told = [run.body, *(server("GET", path).body for path in paths)]
    for wrong in ({"input": [[inputs]]}, {"variables": [variables]}):
        refused = server("POST", "/runs", {**body, **wrong})
        assert refused.status == 400, refused
        told.append(refused.body)
    return [text for one in told for text in (json.dumps(one), str(one))]


@pytest.mark.parametrize("seed", SEEDS)
def test_no_default_and_no_variable_of_the_environment_is_shown(
    stepflow: Stepflow, seed: int
) -> None:
    secrets = fifty(random.Random(seed))
    texts = [text for text in secrets.values.values() if isinstance(text, str) and len(text) > 9]
    token, spare = texts[0], texts[1]
    variables = {
        "token": {"is_secret": True, "type": "string", "env_var": "THE_TOKEN"},
        "spare": {"$ref": "#/$defs/spare"},
    }
    definitions = {"spare": {"is_secret": True, "type": "string", "default": spare}}
    schema = {"type": "object", "properties": variables, "$defs": definitions}
    step = {
        "id": "work",
        "component": "/python/raises",
        "input": {"all": [{"$variable": "token"}, {"$variable": "spare", "default": spare}]},
    }
    whole = {
        "schemas": {"properties": {"variables": schema}},
        "steps": [step],
        "output": {"$step": "work"},
    }
    stepflow.write(flow_yaml=json.dumps(whole), components_py=COMPONENTS)
    ended = stepflow("run", "flow.yaml", "--input-json", "{}", env={"THE_TOKEN": token})
    assert ended.code == 1 and "[REDACTED]" in ended.stdout, ended.stderr
    for told in (ended.stdout, ended.stderr):
        assert token not in told and json.dumps(spare)[1:-1] not in told, f"seed {seed}: {told}"
