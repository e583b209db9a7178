"""Which crate may use which: protocol <- flow <- engine <- {store, hosts} <- server."""

import re
import tomllib
from pathlib import Path

import pytest

BELOW = {
    "stepflow-protocol": set[str](),
    "stepflow-flow": {"stepflow-protocol"},
    "stepflow-engine": {"stepflow-protocol", "stepflow-flow"},
    "stepflow-store": {"stepflow-protocol", "stepflow-flow", "stepflow-engine"},
    "stepflow-hosts": {"stepflow-protocol", "stepflow-flow", "stepflow-engine"},
    "stepflow-server": {
        "stepflow-protocol",
        "stepflow-flow",
        "stepflow-engine",
        "stepflow-store",
        "stepflow-hosts",
    },
}

Manifest = dict[str, dict[str, object]]


@pytest.fixture(scope="module")
def crates(root: Path) -> dict[str, Path]:
    found = root.glob("packages/stepflow-orchestrator/crates/*/Cargo.toml")
    return {file.parent.name: file.parent for file in found}


def manifest(crate: Path) -> Manifest:
    return tomllib.loads((crate / "Cargo.toml").read_text(encoding="utf-8"))


def test_there_are_six_crates(crates: dict[str, Path]) -> None:
    assert set(crates) == set(BELOW)


def test_crates_follow_the_arrows(crates: dict[str, Path]) -> None:
    for name, crate in crates.items():
        read = manifest(crate)
        # Not dev-dependencies: a test may look at what is above it.
        used = {*read.get("dependencies", {}), *read.get("build-dependencies", {})}
        assert {each for each in used if each.startswith("stepflow-")} <= BELOW[name], name


def test_every_crate_takes_versions_and_lints_from_the_workspace(crates: dict[str, Path]) -> None:
    for name, crate in crates.items():
        read = manifest(crate)
        assert read["lints"] == {"workspace": True}, name
        assert read["package"]["version"] == {"workspace": True}, name


def test_every_dependency_is_used(crates: dict[str, Path]) -> None:
    unused = []
    for name, crate in crates.items():
        read = manifest(crate)
        source = "\n".join(file.read_text(encoding="utf-8") for file in crate.rglob("*.rs"))
        for dependency in (*read.get("dependencies", {}), *read.get("dev-dependencies", {})):
            if not re.search(rf"\b{dependency.replace('-', '_')}\b", source):
                unused.append(f"{name}: {dependency}")
    assert unused == []


def test_rust_lives_in_the_orchestrator_only(our_files: list[Path], root: Path) -> None:
    home = root / "packages/stepflow-orchestrator/crates"
    assert [file for file in our_files if file.suffix == ".rs" and home not in file.parents] == []


def test_there_is_one_tls_provider_and_it_is_not_openssl(root: Path) -> None:
    lock = (root / "packages/stepflow-orchestrator/Cargo.lock").read_text(encoding="utf-8")
    names = {package["name"] for package in tomllib.loads(lock)["package"]}
    assert names.isdisjoint({"openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"})
