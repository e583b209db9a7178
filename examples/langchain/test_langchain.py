"""A LangChain chain runs as a step."""

import json
import subprocess
from collections.abc import Callable

Stepflow = Callable[..., subprocess.CompletedProcess[str]]


def test_a_chain_writes_a_headline(stepflow: Stepflow) -> None:
    folder = "examples/langchain"
    ran = stepflow("run", f"{folder}/flow.yaml", "--input", f"{folder}/input.json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["result"] == {"headline": "Rain stays away in August"}
