#!/bin/sh
# Runs a command in the project's environment: ./scripts/bootstrap.sh COMMAND [ARGS…]
# First creates the environment. This needs only Python >= 3.11 and cargo.
# stdout is for the command; all other messages go to stderr.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
own_uv=$root/.tools/uv
oldest_uv=0.9

say() { printf '%s\n' "$*" >&2; }
stop() {
    say "error: $1"
    shift
    for line in "$@"; do say "hint: $line"; done
    exit 3
}

pythons() { # all interpreters on PATH that work and are new enough
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
        fi
    done
}

is_new_enough() { # $1: a uv
    "$1" --version 2>/dev/null | awk -v oldest="$oldest_uv" '
        { split($2, have, "."); split(oldest, want, ".") }
        END { exit !(NR && (have[1] > want[1] || (have[1] == want[1] && have[2] >= want[2]))) }'
}

install_uv() {
    say "uv was not found: installing it from PyPI into .tools/uv"
    for python in $(pythons); do
        rm -rf "$own_uv"
        # On some systems, `venv` of a Python cannot install pip; another Python may be able to.
        if "$python" -m venv "$own_uv" >&2 && "$own_uv/bin/python" -m pip install --quiet \
            --disable-pip-version-check "uv>=$oldest_uv,<1" >&2; then
            return
        fi
    done
    rm -rf "$own_uv"
    stop "uv could not be installed; the reason is above" \
        "Debian and Ubuntu need the package python3-venv" \
        "or install uv yourself: https://docs.astral.sh/uv/getting-started/installation/"
}

[ -n "$(pythons)" ] || stop "no Python 3.11 or newer was found on PATH" \
    "install one from https://www.python.org/downloads/ or with your system's package manager"

if ! command -v cargo >/dev/null 2>&1; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    command -v cargo >/dev/null 2>&1 || stop "cargo was not found; the server is built from Rust" \
        "install Rust with rustup: https://rustup.rs" "then open a new shell and run this again"
fi

if command -v uv >/dev/null 2>&1 && is_new_enough uv; then
    uv=uv
else
    uv=$own_uv/bin/uv
    is_new_enough "$uv" || install_uv
fi

# All clones share one target folder, so that dependencies are compiled once. The path of this wrapper
# tells cargo which clone a crate belongs to. Without it, cargo would mix up the builds of two clones.
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/stepflow/target}"
RUSTC_WORKSPACE_WRAPPER=$root/scripts/rustc-of-this-clone.sh
export PATH CARGO_TARGET_DIR RUSTC_WORKSPACE_WRAPPER

# The same build that `uv run` does next, but this one shows its progress.
cargo build --locked --bin stepflow-server \
    --manifest-path packages/stepflow-orchestrator/Cargo.toml >&2

exec "$uv" run --locked "$@"
