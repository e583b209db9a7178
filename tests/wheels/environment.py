"""An environment made for one test, and the programs in it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and an empty folder to work in."""

    bin: Path
    folder: Path

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start a program of this environment, which cannot import our packages from outside."""
        program = self.bin / command[0]
        return subprocess.Popen(
            [program, *command[1:]],
            cwd=self.folder,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *command: str | Path, stdin: str = "", exit_code: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this environment to its end; it must exit with `exit_code`."""
        with self.start(*command) as process:
            stdout, stderr = process.communicate(stdin, timeout=120)
        assert process.returncode == exit_code, f"exit {process.returncode}\n{stdout}\n{stderr}"
        return subprocess.CompletedProcess(process.args, exit_code, stdout, stderr)

    def python(self, code: str) -> str:
        """Run a piece of Python and return what it printed."""
        return self.run("python", "-c", code).stdout
