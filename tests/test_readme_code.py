"""The code in the READMEs works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKERS = "packages/stepflow-worker/README.md"


def blocks(readme: str, language: str) -> list[str]:
    """Return the code blocks of a language in a README."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


def block(readme: str, language: str) -> str:
    """Return the first of these code blocks."""
    return blocks(readme, language)[0]


def test_the_readme_shows_the_first_example_as_it_is() -> None:
    code = block("README.md", "python").removeprefix("# components.py\n")
    example = (ROOT / "examples/hello/components.py").read_text(encoding="utf-8")
    assert code.split() == example.split()


def test_the_protocols_blocks_run_one_after_the_other() -> None:
    code = "\n".join(blocks("packages/stepflow-protocol/README.md", "python"))
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_imports_of_the_clients_readme_exist() -> None:
    code = block("packages/stepflow-client/README.md", "python")
    imports = [line for line in code.splitlines() if line.startswith("from ")]
    assert imports
    subprocess.run([sys.executable, "-c", "\n".join(imports)], check=True)


@pytest.fixture
def workers_files(tmp_path: Path) -> Path:
    """A folder with the files that the worker's README shows."""
    for code in blocks(WORKERS, "python"):
        name = code.split("\n", 1)[0].removeprefix("# ")
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def listed(file: str, folder: Path) -> list[str]:
    """Return the lines of the list of components that a file serves."""
    command = [str(Path(sys.executable).with_name("stepflow-worker")), file, "--list"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    ("file", "components"),
    [
        ("search.py", {"/search/{collection}"}),
        ("slowly.py", {"/count"}),
        ("with_model.py", {"/score"}),
        ("chains.py", {"/whisper", "/invoke_named"}),
    ],
)
def test_the_workers_files_can_be_served(
    workers_files: Path, file: str, components: set[str]
) -> None:
    served = {line.split()[0] for line in listed(file, workers_files)}
    assert served == {"COMPONENT", *components}


def test_the_workers_list_is_as_it_is_shown(workers_files: Path) -> None:
    command, *shown = block(WORKERS, "console").splitlines()
    assert command == "$ stepflow-worker components.py --list"
    assert shown == listed("components.py", workers_files)


def test_the_workers_options_are_those_that_there_are() -> None:
    command = [str(Path(sys.executable).with_name("stepflow-worker")), "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    table = (ROOT / WORKERS).read_text(encoding="utf-8").partition("## The command")[2]
    options, shown = (set(re.findall(r"--[a-z][a-z-]+", each)) for each in (said, table))
    assert options == shown | {"--help"}


@pytest.mark.server
def test_the_workers_files_make_a_flow_that_runs(workers_files: Path) -> None:
    (workers_files / "stepflow-config.yml").write_text(block(WORKERS, "yaml"), encoding="utf-8")
    with (workers_files / "flow.json").open("w") as flow:
        subprocess.run([sys.executable, "make_flow.py"], cwd=workers_files, stdout=flow, check=True)
    stepflow = Path(sys.executable).with_name("stepflow")
    command = [str(stepflow), "run", "flow.json", "--input-json", '{"n": 21}', "--output-only"]
    ran = subprocess.run(command, cwd=workers_files, capture_output=True, text=True, check=False)
    assert ran.stdout == "42\n", ran.stderr


def test_the_workers_components_pass_the_test_that_testing_shows(tmp_path: Path) -> None:
    for name, package in (("components", "worker"), ("test_mine", "testing")):
        code = block(f"packages/stepflow-{package}/README.md", "python")
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_the_orchestrators_flow_runs_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(block("packages/stepflow-orchestrator/README.md", "yaml"))
    stepflow = Path(sys.executable).with_name("stepflow")
    command = [str(stepflow), "run", "flow.yaml", "--input-json", '{"a": 1}']
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
