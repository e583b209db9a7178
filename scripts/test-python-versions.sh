#!/bin/sh
# Runs the packages' tests on Python 3.11, 3.12 and 3.13. Lists the versions that were not found. The
# exit code is then 1, unless --allow-missing is given. The work is done in python_versions.py.
set -eu
cd "$(dirname "$0")/.."
if command -v "${UV:-uv}" >/dev/null 2>&1; then
    exec "${UV:-uv}" run --locked python scripts/python_versions.py "$@"
fi
exec ./scripts/bootstrap.sh python scripts/python_versions.py "$@"
