"""`stepflow` and `python -m stepflow.orchestrator`: run the server binary with the same arguments."""

import os
import subprocess
import sys
from typing import NoReturn

from stepflow.orchestrator._find_binary import BinaryNotFound, find_server_binary


def main() -> NoReturn:
    """Replace this process with the server binary. On Windows, run it and exit with its exit code."""
    try:
        binary = str(find_server_binary())
    except BinaryNotFound as missing:
        print(f"error: {missing}", file=sys.stderr)
        sys.exit(3)
    if os.name == "nt":
        sys.exit(subprocess.run([binary, *sys.argv[1:]], check=False).returncode)
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
