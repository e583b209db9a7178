"""Each distribution imports only the distributions that it may import, and only what it declares."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ARROWS = {
    "protocol": set[str](),
    "worker": {"protocol"},
    "client": {"protocol"},
    "testing": {"protocol", "worker", "orchestrator"},  # the orchestrator: only if it is installed
    "orchestrator": {"protocol"},
}

# Packages whose imported name is not their installed name.
DISTRIBUTION_OF = {"opentelemetry": "opentelemetry-api"}

# Imported if the user has installed it, and never declared.
WHERE_INSTALLED = {"worker": {"pydantic", "pydantic-core"}}

# Declared, and not imported here.
FOR_OTHERS = {
    "worker": {"httptools"},  # uvicorn looks for it
    "orchestrator": {"stepflow-protocol"},  # the typed configuration will need it
}


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """Return all absolute imports below a folder, anywhere in a file."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                if node.module == "stepflow":
                    yield from ((file, f"stepflow.{alias.name}") for alias in node.names)
                else:
                    yield file, node.module


def declared(folder: Path) -> set[str]:
    """Return the declared dependencies of a distribution, with its extras."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated: list[str] = list(project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        stated += extra
    return {re.split(r"[^A-Za-z0-9._-]", each)[0].replace(".", "-").lower() for each in stated}


def test_imports_follow_the_arrows(distributions: dict[str, Path]) -> None:
    for name, folder in distributions.items():
        for file, module in imports(folder / "src"):
            if module.startswith("stepflow."):
                other = module.split(".")[1]
                assert other in ARROWS[name] | {name}, f"{file} imports {module}"


def test_siblings_are_declared_with_a_range(distributions: dict[str, Path]) -> None:
    for name, folder in distributions.items():
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        siblings = [each for each in project["dependencies"] if each.startswith("stepflow-")]
        assert {re.split(r"[><=]", each)[0].removeprefix("stepflow-") for each in siblings} == (
            ARROWS[name] - {"orchestrator"}
        )
        for each in siblings:
            assert re.fullmatch(r"stepflow-\w+>=\d+\.\d+,<\d+\.\d+", each), each


def test_nothing_is_imported_that_is_not_declared(distributions: dict[str, Path]) -> None:
    """The shared environment of the workspace would hide a missing declaration."""
    undeclared = []
    for name, folder in distributions.items():
        allowed = declared(folder) | WHERE_INSTALLED.get(name, set())
        for file, module in imports(folder / "src"):
            top = module.split(".")[0]
            distribution = DISTRIBUTION_OF.get(top, top).replace("_", "-").lower()
            known = top in sys.stdlib_module_names or top == "stepflow"
            if not known and distribution not in allowed:
                undeclared.append(f"{file} imports {module}")
    assert undeclared == []


def test_everything_that_is_declared_is_imported(distributions: dict[str, Path]) -> None:
    unused = []
    for name, folder in distributions.items():
        modules = {module for _, module in imports(folder / "src")}
        for dependency in declared(folder) - FOR_OTHERS.get(name, set()):
            module = dependency.replace("-", "_")
            # In a namespace: `opentelemetry-sdk` is `opentelemetry.sdk`.
            others = (top for top, known in DISTRIBUTION_OF.items() if known == dependency)
            names = (module, module.replace("_", "."), *others)
            if not any(
                each == one or each.startswith(f"{one}.") for each in modules for one in names
            ):
                unused.append(f"{name}: {dependency}")
    assert unused == []
