"""The route decides whether a step's `flow` is a flow, which is checked, or only data."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Stepflow
from tests.cli.serving import serving

FLOW = """\
name: n
description: d
steps:
  - id: a
    component: COMPONENT
    input: {items: [1], workflow: {$literal: {steps: [{id: s, component: /nowhere/x}], output: {$step: s}}}}
  - {id: b, component: /builtin/noop, input: {$literal: {steps: [{id: s, component: /nowhere/x}]}}}
output: [{$step: a}, {$step: b}]
"""

ROUTES = """\
plugins:
  builtin: {type: builtin}
  mocks:
    type: mock
    components:
      /map: {input_schema: {}, output_schema: {}, behaviors: {}}
routes:
  "/my/{*component}": [{plugin: builtin}]
  "/builtin/noop": [{plugin: builtin, component: /noop}]
  "/builtin/map": [{plugin: mocks, component: /map}]
"""


def found(stepflow: Stepflow) -> list[tuple[int, str]]:
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    (result,) = json.loads(ended.stdout)
    return [(one["code"], one["path"]) for one in result["diagnostics"]]


def test_a_literal_document_is_data_for_a_component_that_takes_no_flow(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("COMPONENT", "/builtin/noop"))
    assert found(stepflow) == []
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["result"][1] == {
        "steps": [{"id": "s", "component": "/nowhere/x"}]
    }


def test_the_builtins_own_paths_are_known_without_routes(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("COMPONENT", "/builtin/map"))
    place = '$.steps[0].input.workflow["$literal"].steps[0].component'
    assert found(stepflow) == [(2501, place)]


def test_map_behind_another_route_is_checked_like_map(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("COMPONENT", "/my/map"))
    (stepflow.folder / "stepflow-config.yml").write_text(ROUTES, encoding="utf-8")
    inside = '$.steps[0].input.workflow["$literal"]'
    assert found(stepflow) == [(2501, f"{inside}.steps[0].component")]
    ended = stepflow("run", "flow.yaml", "--input-json", "{}")
    assert (ended.code, "no route leads to `/nowhere/x`" in ended.stderr) == (1, True)
    text = FLOW.replace("COMPONENT", "/my/map").replace("{$step: s}", "{$step: t}")
    stepflow.write(flow_yaml=text)
    assert (3003, f"{inside}.output") in found(stepflow)


def test_another_component_at_the_path_of_map_takes_data(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("COMPONENT", "/builtin/map"))
    (stepflow.folder / "stepflow-config.yml").write_text(ROUTES, encoding="utf-8")
    assert found(stepflow) == []


def test_the_api_checks_flows_by_its_routes(stepflow: Stepflow) -> None:
    (stepflow.folder / "stepflow-config.yml").write_text(ROUTES, encoding="utf-8")

    def codes(component: str) -> list[Any]:
        text = FLOW.replace("COMPONENT", component).replace("{$step: s}", "{$step: t}")
        body = server("POST", "/flows", {"flow": text}).body
        return [one["code"] for one in body["diagnostics"]["diagnostics"]]

    with serving(stepflow) as server:
        assert 3003 in codes("/my/map")
        assert codes("/builtin/map") == []


def test_advice_fits_the_path_that_nothing_serves(stepflow: Stepflow) -> None:
    flow = "name: n\ndescription: d\nsteps: [{id: a, component: COMPONENT}]\noutput: {$step: a}\n"
    advice = {
        "/python/x": "put a `components.py` into the folder of the flow",
        "/x": "add a route to it in `stepflow-config.yml`",
    }
    for component, expected in advice.items():
        stepflow.write(flow_yaml=flow.replace("COMPONENT", component))
        ended = stepflow("validate", "flow.yaml")
        assert [text in ended.stderr for text in advice.values()] == [
            text == expected for text in advice.values()
        ], ended.stderr


@pytest.mark.parametrize("pattern", ["/python/{*component}", "/{*component}"])
def test_a_configuration_without_the_builtins_says_how_to_list_them(
    stepflow: Stepflow, pattern: str
) -> None:
    config = {
        "plugins": {"builtin": {"type": "builtin"}},
        "routes": {pattern: [{"plugin": "builtin"}]},
    }
    flow = (
        "name: n\ndescription: d\nsteps: [{id: a, component: /builtin/noop}]\noutput: {$step: a}\n"
    )
    stepflow.write(flow_yaml=flow, c_yml=json.dumps(config))
    ended = stepflow("validate", "flow.yaml", "--config", "c.yml")
    assert ended.code == 1
    assert '`"/builtin/{*component}": [{plugin: builtin}]` under `routes`' in ended.stderr
