"""Every command in a document is run here, or listed here with the reason why not.

A command is a line that begins with `$ ` in a `console` block of any Markdown file.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Run in the root of the repository, in this order; each must exit with 0.
RUN = (
    "uv run stepflow run examples/hello/flow.yaml --input examples/hello/input.json",
    "uv run stepflow validate examples/hello/flow.yaml",
    "uv run stepflow run examples/hello/flow.yaml --inputs examples/hello/inputs.jsonl --state .stepflow/hello",
    "uv run stepflow run examples/seattle-weather/flow.yaml --input examples/seattle-weather/input.json",
    "uv run stepflow validate examples/seattle-weather/flow.yaml",
    "uv run python -m stepflow.testing.conformance -- stepflow-worker examples/conformance/components.py",
    "uv run python -m stepflow.testing.conformance --http -- stepflow-worker examples/conformance/components.py --http --port 0",
    "uv run stepflow visualize examples/seattle-weather/flow.yaml --output examples/seattle-weather/flow.svg",
    "uv run stepflow run examples/model-in-lifespan/flow.yaml --input examples/model-in-lifespan/input.json",
    "uv run stepflow run examples/blobs-and-sub-flow/flow.yaml --input examples/blobs-and-sub-flow/input.json",
    "uv run stepflow run examples/udf/flow.yaml --input examples/udf/input.json",
    "uv run stepflow run examples/langchain/flow.yaml --input examples/langchain/input.json",
)


def commands(document: Path) -> Iterator[str]:
    """Return the commands of a document, without comments at the end of a line."""
    text = document.read_text(encoding="utf-8").replace("\\\n", "")
    for block in re.findall(
        r"^```(?:console|sh|bash|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
    ):
        for line in block.splitlines():
            if line.startswith("$ "):
                yield " ".join(line[2:].split("  #")[0].split())


_HTTP_WORKER = "examples/http-worker/test_http_worker.py runs the two together, on a free port"

EXCUSED = {
    "stepflow-worker components.py --list": "tests/test_readme_code.py lists the file that is meant",
    "stepflow-worker components.py --http --port 8080": "packages/stepflow-worker/tests/over_http/ "
    "serves so, on a free port",
    "uv run stepflow-worker examples/http-worker/components.py --http --port 8080": _HTTP_WORKER,
    "uv run stepflow run examples/http-worker/flow.yaml --input examples/http-worker/input.json": _HTTP_WORKER,
    "uv run stepflow run examples/hello/flow.yaml --inputs examples/hello/inputs.jsonl "
    "--state .stepflow/hello --resume": "it needs the state of the one before it, which another "
    "process may be running now; tests/cli/test_run_state.py runs both",
    **dict.fromkeys(
        commands(ROOT / "docs/durability.md"), "tests/cli/test_durability_page.py runs the page"
    ),
    "make demo": "examples/seattle-weather/test_demo.py runs its script; the rest is bootstrap",
    "make test": "it is what runs this test",
}


def documented() -> set[str]:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md"), *ROOT.glob("examples/**/*.md")]
    documents += [*ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
    return {command for document in documents for command in commands(document)}


def test_every_documented_command_is_run_or_listed_with_a_reason() -> None:
    assert documented() == {*RUN, *EXCUSED}


@pytest.mark.server
@pytest.mark.parametrize("command", RUN)
def test_a_documented_command_works(command: str) -> None:
    # As `uv run` does, but without checking again whether something must be built.
    program, *arguments = command.removeprefix("uv run ").split()
    bin = Path(sys.executable).parent
    ran = subprocess.run(
        [bin / program, *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
