"""Runs the real command as a person would, in a new folder, and checks that it leaves no process behind."""

import os
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TIMEOUT = 60.0


@dataclass
class Ended:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Stepflow:
    """The command `stepflow`, in a folder with the files of one test."""

    command: list[str]
    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def write(self, **files: str) -> None:
        """Write files: `flow_yaml="…"` becomes `flow.yaml`."""
        for name, text in files.items():
            stem, _, extension = name.rpartition("_")
            (self.folder / f"{stem}.{extension}").write_text(text, encoding="utf-8")

    def start(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the command; every process that it starts carries the mark of this test."""
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith("STEPFLOW_")
        }
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env={**ours, "TEST_STEPFLOW_MARK": self.mark, "NO_COLOR": "1", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(
        self,
        *arguments: str,
        stdin: str = "",
        env: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> Ended:
        """Run the command to its end, and check that it has not panicked and has left no process behind."""
        return self.end(self.start(*arguments, env=env), stdin, timeout)

    def end(
        self, process: subprocess.Popen[str], stdin: str = "", timeout: float = TIMEOUT
    ) -> Ended:
        """Wait for the end of a command, with the same checks."""
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        finally:
            process.kill()
        assert "panicked" not in stderr, stderr
        assert self.left_behind() == [], stderr
        return Ended(process.returncode, stdout, stderr)

    def left_behind(self) -> list[int]:
        """Return the processes of this test that do not end within some seconds."""
        return [pid for pid in self.running() if not _ends(pid)]

    def running(self) -> list[int]:
        """Return the ids of the processes that carry the mark of this test."""
        pids = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environment = (entry / "environ").read_bytes()
                except OSError:  # it has ended, or is not ours
                    continue
                if f"TEST_STEPFLOW_MARK={self.mark}".encode() in environment:
                    pids.append(int(entry.name))
        return pids


def _ends(pid: int) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 5.0)[0])
    finally:
        os.close(handle)


def _command() -> list[str]:
    binary = os.environ.get("STEPFLOW_SERVER_BIN")
    if binary:
        return [binary]
    launcher = Path(sys.executable).with_name("stepflow")
    if not launcher.exists():
        pytest.skip(
            f"there is no `stepflow` beside {sys.executable}, and STEPFLOW_SERVER_BIN is not set"
        )
    return [str(launcher)]


@pytest.fixture
def stepflow(tmp_path: Path) -> Iterator[Stepflow]:
    """The command in an empty folder. Processes that it leaves behind are killed at the end."""
    command = Stepflow(_command(), tmp_path)
    # The command finds a worker beside the Python that runs the tests.
    os_path = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os_path}"
    try:
        yield command
    finally:
        os.environ["PATH"] = os_path
        for pid in command.left_behind():
            os.kill(pid, signal.SIGKILL)


class Doorbell:
    """A named pipe. A component writes to it to show that it runs."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self, timeout: float = TIMEOUT) -> str:
        """Return what the component has written; fail when nothing arrives in time."""
        ready, _, _ = select.select([self._reader], [], [], timeout)
        assert ready, "the component did not begin"
        return os.read(self._reader, 4096).decode()

    def close(self) -> None:
        os.close(self._reader)


@pytest.fixture
def doorbell(tmp_path: Path) -> Iterator[Doorbell]:
    """A named pipe `doorbell`: a component opens it and writes, and the test waits for that."""
    bell = Doorbell(tmp_path / "doorbell")
    try:
        yield bell
    finally:
        bell.close()
