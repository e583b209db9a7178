"""`stepflow schema`: the schemas from which code in other languages is generated."""

import json

import pytest

from tests.cli.conftest import Stepflow


@pytest.mark.parametrize(
    ("what", "named"),
    [("protocol", "ComponentsExecuteParams"), ("flow", "Step"), ("config", "StepflowPlugin")],
)
def test_a_schema_is_printed(stepflow: Stepflow, what: str, named: str) -> None:
    ended = stepflow("schema", what)
    assert (ended.code, ended.stderr) == (0, "")
    assert named in json.loads(ended.stdout)["$defs"]


def test_a_schema_of_something_else_is_a_wrong_command_line(stepflow: Stepflow) -> None:
    ended = stepflow("schema", "weather")
    assert (ended.code, ended.stdout) == (2, "")
