#!/bin/sh
# Runs the packages' tests on Python 3.11, 3.12 and 3.13. Names each that was not found and then
# ends with 1, unless --allow-missing. See python_versions.py.
set -eu
cd "$(dirname "$0")/.."
if command -v "${UV:-uv}" >/dev/null 2>&1; then
    exec "${UV:-uv}" run --locked python scripts/python_versions.py "$@"
fi
exec ./scripts/bootstrap.sh python scripts/python_versions.py "$@"
