"""The layout of each distribution. Most important: none has an `__init__.py` in the shared namespace."""

from pathlib import Path

PLANNED = {"client", "orchestrator", "protocol", "testing", "worker"}


def test_no_file_lies_directly_in_a_namespace_folder(root: Path) -> None:
    """One `__init__.py` there hides the other four distributions, and no linter reports it."""
    stray = [path for path in root.glob("packages/*/src/stepflow/*") if path.is_file()]
    assert stray == []


def test_there_are_five_distributions(distributions: dict[str, Path]) -> None:
    assert set(distributions) == PLANNED


def test_each_distribution_has_its_documents(distributions: dict[str, Path]) -> None:
    for name, folder in distributions.items():
        for file in ("README.md", "CHANGELOG.md", f"src/stepflow/{name}/py.typed"):
            assert (folder / file).is_file(), f"{folder.name}/{file} is missing"
        assert list(folder.glob("tests/test_*.py")), f"{folder.name} has no tests"
        folders = [each.name for each in (folder / "src/stepflow").iterdir() if each.is_dir()]
        assert [each for each in folders if each != "__pycache__"] == [name]


def test_folders_of_tests_are_not_packages(root: Path) -> None:
    """Two `tests/__init__.py` in one run are the same module to pytest."""
    assert list(root.glob("packages/*/tests/**/__init__.py")) == []
    assert list(root.glob("tests/**/__init__.py")) == []


def test_no_file_is_too_long_to_hold_one_thing(our_files: list[Path]) -> None:
    written = [file for file in our_files if file.suffix in (".py", ".rs")]
    long = {
        str(file): lines
        for file in written
        if "_generated" not in file.parts
        and (lines := len(file.read_text(encoding="utf-8").splitlines())) > 800
    }
    assert long == {}
