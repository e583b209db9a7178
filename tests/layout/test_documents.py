"""The documents at the root exist, are true, and contain nothing that belongs to one machine."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

TEXT = {"", ".cfg", ".json", ".md", ".py", ".rs", ".sh", ".toml", ".yaml", ".yml", ".lock"}

# Each pattern is written so that this file does not match it.
FORBIDDEN = {
    r"(^|[\s\"'`(=:])/(root|home|wor[k])/": "a path of one machine",
    r"\.\./share[d]\b": "a path outside the project",
    r"\.librar[y]\b": "a path outside the project",
    r"design pag[e]": "a document that is not in the project",
    r"\b[Ii]ssue [0-9]\b": "a number that means nothing to a reader",
}


def test_the_root_has_its_documents(root: Path) -> None:
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", "Makefile"):
        assert (root / name).is_file(), name


def test_the_readme_begins_with_the_two_commands(root: Path) -> None:
    start = (root / "README.md").read_text(encoding="utf-8")[:600]
    assert "make demo" in start and "make test" in start


def test_the_readmes_map_names_every_folder(root: Path, our_files: list[Path]) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    folders = {file.relative_to(root).parts[0] for file in our_files if file.parent != root}
    missing = {each for each in folders if not each.startswith(".") and f"{each}/" not in readme}
    assert missing == set()


def test_the_architecture_gives_a_reason_for_every_dependency(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    cargo = (root / "packages/stepflow-orchestrator/Cargo.toml").read_text(encoding="utf-8")
    names = set(tomllib.loads(cargo)["workspace"]["dependencies"])
    for file in (root / "pyproject.toml", *root.glob("packages/*/pyproject.toml")):
        read = tomllib.loads(file.read_text(encoding="utf-8"))
        stated = [*read["project"].get("dependencies", [])]
        for group in read["project"].get("optional-dependencies", {}).values():
            stated += group
        for group in read.get("dependency-groups", {}).values():
            stated += group
        names |= {Requirement(each).name for each in stated}
    assert {each for each in names if f"`{each}`" not in text} == set()


def test_no_document_names_a_machine(our_files: list[Path], root: Path) -> None:
    found = []
    for file in our_files:
        if file.suffix not in TEXT:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for pattern, why in FORBIDDEN.items():
                if re.search(pattern, line):
                    found.append(f"{file.relative_to(root)}:{number}: {why}: {line.strip()[:120]}")
    assert found == []


def test_the_lock_names_only_the_public_index(root: Path) -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (root / "uv.lock").read_text(encoding="utf-8")))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}
    cargo = (root / "packages/stepflow-orchestrator/Cargo.lock").read_text(encoding="utf-8")
    sources = set(re.findall(r'^source = "(.+)"$', cargo, re.MULTILINE))
    assert sources == {"registry+https://github.com/rust-lang/crates.io-index"}


def test_local_links_lead_somewhere(our_files: list[Path]) -> None:
    broken = []
    for file in our_files:
        if file.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", file.read_text(encoding="utf-8")):
            if re.match(r"[a-z]+:|#", target):
                continue
            if not (file.parent / target.split("#")[0]).exists():
                broken.append(f"{file}: {target}")
    assert broken == []
