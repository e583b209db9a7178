"""`stepflow validate --fix`: it corrects names that have only one correction, and nothing else."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Stepflow

ROOT = Path(__file__).parents[2]

OLD = """\
# Greets.
name: greet
description: d
inputSchema:
  type: object  # the caller's
ouput: {$input: $}
"""

NEW = """\
# Greets.
name: greet
description: d
schemas:
  properties:
    input:
      type: object  # the caller's
output: {$input: $}
"""


def test_a_file_is_fixed_and_each_change_is_reported(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=OLD)
    ended = stepflow("validate", "--fix", "flow.yaml")
    assert (ended.code, ended.stdout) == (0, ""), ended.stderr
    assert (stepflow.folder / "flow.yaml").read_text() == NEW
    assert "flow.yaml:4: fixed `inputSchema` → `schemas.properties.input`" in ended.stderr
    assert "flow.yaml:6: fixed `ouput` → `output`" in ended.stderr
    again = stepflow("validate", "--fix", "flow.yaml")
    assert "fixed" not in again.stderr


def test_without_fix_it_is_offered_and_the_file_stays(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml=OLD)
    ended = stepflow("validate", "flow.yaml")
    assert ended.code == 1
    assert "hint: `stepflow validate --fix flow.yaml` corrects 2 of these" in ended.stderr
    assert (stepflow.folder / "flow.yaml").read_text() == OLD


def test_a_fix_is_data_for_machines(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml="name: é\ndescription: d\n'ouput': 1\n")
    ended = stepflow("validate", "flow.yaml", "--format", "json")
    (result,) = json.loads(ended.stdout)
    (found,) = result["diagnostics"]
    (edit,) = found["fix"]
    text = (stepflow.folder / "flow.yaml").read_bytes()
    assert text[edit["span"]["start"] : edit["span"]["end"]] == b"'ouput'"
    assert edit["replacement"] == "'output'"


@pytest.mark.skipif(os.name != "posix", reason="modes and links as POSIX has them")
def test_the_mode_of_a_file_stays_and_links_are_followed(stepflow: Stepflow) -> None:
    stepflow.write(real_yaml=OLD)
    real, link = stepflow.folder / "real.yaml", stepflow.folder / "flow.yaml"
    real.chmod(0o640)
    link.symlink_to(real.name)
    assert stepflow("validate", "--fix", "flow.yaml").code == 0
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == (NEW, 0o640)
    assert sorted(path.name for path in stepflow.folder.iterdir()) == ["flow.yaml", "real.yaml"]


def test_a_file_with_broken_syntax_is_left_alone(stepflow: Stepflow) -> None:
    stepflow.write(flow_yaml="ouput: [1\n")
    assert stepflow("validate", "--fix", "flow.yaml").code == 1
    assert (stepflow.folder / "flow.yaml").read_text() == "ouput: [1\n"


def test_stdin_cannot_be_fixed(stepflow: Stepflow) -> None:
    ended = stepflow("validate", "--fix", "-")
    assert ended.code == 2
    assert "`--fix` rewrites a file, and stdin is not a file" in ended.stderr


@pytest.mark.parametrize("name", ["documents.yaml", "answers.yaml", "nightly.json"])
def test_flows_of_the_old_shape_are_valid_before_and_after(stepflow: Stepflow, name: str) -> None:
    (stepflow.folder / name).write_bytes((ROOT / "conformance" / "flows" / name).read_bytes())
    before = stepflow("validate", "--no-components", "--format", "json", name)
    assert {one["code"] for one in json.loads(before.stdout)[0]["diagnostics"]} <= {1008, 2501}
    stepflow("validate", "--no-components", "--fix", name)
    after = stepflow("validate", "--no-components", "--format", "json", name)
    left = [one for one in json.loads(after.stdout)[0]["diagnostics"] if one["code"] != 2501]
    assert all("$literal" in one["path"] for one in left)
