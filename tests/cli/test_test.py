"""`stepflow test`: cases of flows and of conformance files."""

import re
from xml.etree import ElementTree

from tests.cli.conftest import Stepflow

FLOW = """\
name: double
description: Doubles.
steps:
- {id: a, component: /python/double, input: {$input: $.n}}
output: {twice: {$step: a}}
test:
  cases:
  - name: two  # stays
    input: {n: 1}
    mocks: {/python/double: {output: 2}}
    output:
      outcome: success  # stays too
      result: {twice: 2}
    expectSteps: {a: {status: completed, attempts: 1}}
  - name: four
    input: {n: 2}
    mocks: {/python/double: {output: 4}}
    output: {outcome: success, result: {twice: 5}}  # was a guess
  - name: new
    input: {n: 2}
    mocks: {/python/double: {error: broken}}
"""


def test_a_case_that_does_not_hold_is_shown_place_by_place(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW)
    ended = stepflow("test", "flow.yaml")
    assert ended.code == 1, ended.stderr
    assert "failed four (flow.yaml:15)" in ended.stdout
    assert "$.result.twice\n      expected  5\n      found     4\n" in ended.stdout
    assert "the case has no `output`" in ended.stdout
    assert "3 cases: 2 failed, 1 passed" in ended.stdout


def test_one_case_can_be_run_alone_and_without_its_workers(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW)
    ended = stepflow("test", "flow.yaml", "--case", "two")
    assert (ended.code, ended.stderr) == (0, "")
    assert "1 case: 1 passed" in ended.stdout


def test_an_unknown_case_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW)
    assert stepflow("test", "flow.yaml", "--case", "tow").code == 2
    assert stepflow("test", "missing.yaml").code == 2
    assert stepflow("test").code == 2


def test_update_writes_outputs_and_keeps_every_comment(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW)
    assert stepflow("test", "flow.yaml", "--update").code == 0
    updated = (stepflow.folder / "flow.yaml").read_text(encoding="utf-8")
    changed = FLOW.replace("{twice: 5}}  # was a guess", "{twice: 4}}  # was a guess")
    assert updated.startswith(changed)
    assert "broken" in updated.removeprefix(changed)
    assert stepflow("test", "flow.yaml").code == 0


def test_update_leaves_a_case_alone_whose_output_is_right(stepflow: Stepflow) -> None:
    other_steps = FLOW.replace("attempts: 1", "attempts: 2")
    stepflow.write(flow_yaml=other_steps)
    ended = stepflow("test", "flow.yaml", "--update", "--case", "two")
    assert (ended.code, ended.stderr) == (1, "")
    assert "failed two" in ended.stdout
    assert "$.expectSteps.a.attempts" in ended.stdout
    assert (stepflow.folder / "flow.yaml").read_text(encoding="utf-8") == other_steps


def test_update_writes_the_output_of_a_case_whose_steps_still_fail(stepflow: Stepflow) -> None:
    wrong = FLOW.replace("attempts: 1", "attempts: 2").replace("{twice: 2}", "{twice: 3}")
    stepflow.write(flow_yaml=wrong)
    ended = stepflow("test", "flow.yaml", "--update", "--case", "two")
    assert ended.code == 1
    assert "$.expectSteps.a.attempts" in ended.stdout
    assert "$.result" not in ended.stdout
    updated = (stepflow.folder / "flow.yaml").read_text(encoding="utf-8")
    assert updated == wrong.replace("{twice: 3}", "{twice: 2}")


def test_update_writes_no_output_into_a_case_that_expects_only_steps(stepflow: Stepflow) -> None:
    only_steps = FLOW.replace("error: broken}}", "output: 1}}\n    expectSteps: {a: null}")
    stepflow.write(flow_yaml=only_steps)
    assert stepflow("test", "flow.yaml", "--update", "--case", "new").code == 1
    assert (stepflow.folder / "flow.yaml").read_text(encoding="utf-8") == only_steps


def test_update_refuses_to_lose_a_comment(stepflow: Stepflow) -> None:
    commented = FLOW.replace(
        "result: {twice: 2}", "result:\n        once: 2\n        # why\n        more: 3"
    )
    stepflow.write(flow_yaml=commented)
    ended = stepflow("test", "flow.yaml", "--update", "--case", "two")
    assert ended.code == 1
    assert "comments" in ended.stderr
    assert (stepflow.folder / "flow.yaml").read_text(encoding="utf-8") == commented


def test_a_report_for_continuous_integration(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW)
    assert stepflow("test", ".", "--junit", "report.xml").code == 1
    suite = ElementTree.parse(stepflow.folder / "report.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [case.get("name") for case in suite if len(case)] == ["four", "new"]


def test_the_report_for_continuous_integration_of_a_broken_file_has_a_time(
    stepflow: Stepflow,
) -> None:
    stepflow.write(flow_yaml="steps: [")
    assert stepflow("test", ".", "--junit", "report.xml").code == 1
    suite = ElementTree.parse(stepflow.folder / "report.xml").getroot()[0]
    assert suite.get("time") == "0.000"


def test_an_expectation_of_null_means_that_a_step_does_not_run(stepflow: Stepflow) -> None:
    flow = FLOW.replace(
        "expectSteps: {a: {status: completed, attempts: 1}}", "expectSteps: {a: null}"
    )
    stepflow.write(flow_yaml=flow)
    ended = stepflow("test", "flow.yaml", "--case", "two")
    assert ended.code == 1
    assert "$.expectSteps.a" in ended.stdout


def test_a_broken_file_fails_and_the_others_still_run(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW, broken_yaml="steps: [", config_yaml="plugins: {}")
    ended = stepflow("test", ".", "--case", "two")
    assert ended.code == 1
    assert "broken.yaml: cannot be read" in ended.stdout
    assert "1 unreadable" in ended.stdout
    assert "1 file has no cases" in ended.stdout


def test_a_mock_without_an_answer_is_shown_at_its_place(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=FLOW.replace("{output: 2}", "{otput: 2}"))
    ended = stepflow("test", "flow.yaml")
    assert ended.code == 1
    assert "otput" in ended.stdout
    assert "{output: …}" in ended.stdout


SECRET_FLOW = """\
schemas:
  properties:
    input: {properties: {key: {is_secret: true}, pin: {type: integer, is_secret: true}}}
    variables: {properties: {token: {type: string, is_secret: true, default: SuperSecretToken}}}
steps:
- {id: s, component: /x/ask, input: {$input: $.key}}
output:
  pin: {$input: $.pin}
  list: [{$input: $.key}, {$variable: token}]
  said: {$step: s}
test:
  cases:
  - name: a value
    input: {key: SuperSecretValue42, pin: 7012}
    mocks: {/x/ask: {output: 'you said "SuperSecretValue42"'}}
    output: {outcome: success, result: {pin: 7013, list: [SuperSecretValue43, x], said: no}}
  - name: an error
    input: {key: SuperSecretValue42, pin: 7012}
    mocks: {/x/ask: {error: no SuperSecretValue42}}
    expectSteps: {s: {error: {message: SuperSecretValue42}}}
  - name: an error where a value came
    input: {key: [{SuperSecretName: SuperSecretValue42}], pin: 7012}
    mocks: {/x/ask: {output: 1}}
    output: {outcome: failed, error: {message: SuperSecretName}}
  - name: nothing
    input: {key: SuperSecretValue42, pin: 7012}
    mocks: {/x/ask: {output: 1}}
"""


def test_no_report_shows_a_value_that_the_flow_marks_as_secret(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=SECRET_FLOW)
    ended = stepflow("test", "flow.yaml", "--junit", "report.xml")
    report = (stepflow.folder / "report.xml").read_text(encoding="utf-8")
    assert ended.code == 1, ended.stderr
    assert "4 cases: 4 failed" in ended.stdout
    for told in (ended.stdout, ended.stderr, report):
        assert not re.search(r"SuperSecret(Value|Token|Name)|701[23]", told), told
    hidden = "expected  [REDACTED]\n      found     another value, [REDACTED] too\n"
    assert f"$.result.pin\n      {hidden}" in ended.stdout
    assert f"$.result.list[0]\n      {hidden}" in ended.stdout
    assert 'found     "you said \\"[REDACTED]\\""' in ended.stdout
