"""A component runs its own flow and stores a blob; its caller gets both results."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_counts_come_from_sub_runs_and_are_kept_as_a_blob(stepflow: Stepflow) -> None:
    folder = "examples/blobs-and-sub-flow"
    ran = stepflow("run", f"{folder}/flow.yaml", "--input", f"{folder}/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["result"] == {"words": 8, "counts": [1, 3, 4]}
