"""The model is loaded once for all steps."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_two_steps_share_one_model(stepflow: Stepflow) -> None:
    folder = "examples/model-in-lifespan"
    ran = stepflow("run", f"{folder}/flow.yaml", "--input", f"{folder}/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["result"] == {
        "morning": {"mood": "good", "loading": 1},
        "evening": {"mood": "bad", "loading": 1},
    }
