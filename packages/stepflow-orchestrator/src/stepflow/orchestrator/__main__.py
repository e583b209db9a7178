"""`stepflow` and `python -m stepflow.orchestrator`: hand over to the server binary, with all arguments."""

import os
import subprocess
import sys
from typing import NoReturn

from stepflow.orchestrator._find_binary import BinaryNotFound, find_server_binary


def main() -> NoReturn:
    """Become the server binary; where a process cannot be replaced, wait for it and pass its exit code on."""
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
