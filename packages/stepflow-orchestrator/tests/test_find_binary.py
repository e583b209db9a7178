"""Where the server binary is searched, and how the launchers run it."""

import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from stepflow.orchestrator import BinaryNotFound, find_server_binary

NAME = "stepflow-server" + (sysconfig.get_config_var("EXE") or "")


@pytest.fixture
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEPFLOW_SERVER_BIN", raising=False)


@pytest.fixture
def elsewhere(no_override: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make it look as if the module was installed in this folder, unknown to `sysconfig`."""
    monkeypatch.setattr(sysconfig, "get_path", lambda *_, **__: str(tmp_path / "unrelated"))
    return tmp_path


def place(monkeypatch: pytest.MonkeyPatch, site: Path, folder: Path) -> Path:
    module = site / "stepflow/orchestrator/_find_binary.py"
    monkeypatch.setitem(find_server_binary.__globals__, "__file__", str(module))
    folder.mkdir(parents=True)
    (folder / NAME).touch()
    return folder / NAME


def test_the_binary_of_this_environment_is_found(no_override: None) -> None:
    assert find_server_binary() == Path(sysconfig.get_path("scripts")) / NAME


def test_the_binary_is_found_beside_site_packages(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = elsewhere / "lib/python3.11/site-packages"
    binary = place(monkeypatch, site, elsewhere / "bin")
    assert find_server_binary() == binary


def test_the_binary_is_found_in_a_target_folder(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = place(monkeypatch, elsewhere / "libs", elsewhere / "libs/bin")
    assert find_server_binary() == binary


def test_the_environment_variable_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "my-server"
    binary.touch()
    monkeypatch.setenv("STEPFLOW_SERVER_BIN", str(binary))
    assert find_server_binary() == binary


def test_a_wrong_environment_variable_is_an_error_and_not_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPFLOW_SERVER_BIN", str(tmp_path / "nothing"))
    with pytest.raises(BinaryNotFound, match="STEPFLOW_SERVER_BIN names"):
        find_server_binary()


def test_a_missing_binary_is_reported_with_the_folders_and_advice(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(monkeypatch, elsewhere / "site-packages", elsewhere / "nowhere")
    with pytest.raises(BinaryNotFound) as caught:
        find_server_binary()
    assert elsewhere / "unrelated" in caught.value.folders
    assert f"\n  {elsewhere / 'unrelated'}\n" in str(caught.value)
    assert "hint: " in str(caught.value)


@pytest.mark.parametrize(
    "launcher",
    [
        [sys.executable, "-m", "stepflow.orchestrator"],
        [str(Path(sysconfig.get_path("scripts")) / "stepflow")],
    ],
    ids=["python -m", "script"],
)
def test_launchers_run_the_server_with_the_arguments_and_its_exit_code(
    launcher: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "server"
    binary.write_text('#!/bin/sh\necho "$@"\nexit 130\n')
    binary.chmod(0o755)
    monkeypatch.setenv("STEPFLOW_SERVER_BIN", str(binary))
    run = subprocess.run([*launcher, "run", "a b"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (130, "run a b\n")


def test_a_launcher_without_a_binary_ends_with_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPFLOW_SERVER_BIN", str(tmp_path / "nothing"))
    run = subprocess.run(
        [sys.executable, "-m", "stepflow.orchestrator"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 3
    assert run.stderr.startswith("error: ") and run.stdout == ""


@pytest.mark.server
def test_the_shipped_binary_tells_its_version() -> None:
    told = subprocess.check_output([find_server_binary(), "--version"], text=True)
    assert told.split()[-1] == version("stepflow-orchestrator")
