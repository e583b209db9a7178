#!/bin/sh
# Runs a command in the project's environment: ./scripts/bootstrap.sh COMMAND [ARGS…]
# Makes the environment first, out of nothing but Python >= 3.11 and cargo.
# stdout belongs to the command; whatever is said on the way goes to stderr.
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

pythons() { # every interpreter on PATH that really runs and is new enough
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
    say "uv is not here yet: fetching it from PyPI into .tools/uv"
    for python in $(pythons); do
        rm -rf "$own_uv"
        # Some systems ship a Python whose `venv` cannot make a pip; another one may.
        if "$python" -m venv "$own_uv" >&2 && "$own_uv/bin/python" -m pip install --quiet \
            --disable-pip-version-check "uv>=$oldest_uv,<1" >&2; then
            return
        fi
    done
    rm -rf "$own_uv"
    stop "uv could not be installed; the reason stands above" \
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

# One target folder for all clones: the dependencies are compiled once. cargo tells the crates of
# two clones apart by the path of this wrapper; without it, it takes one clone's build for the other's.
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/stepflow/target}"
RUSTC_WORKSPACE_WRAPPER=$root/scripts/rustc-of-this-clone.sh
export PATH CARGO_TARGET_DIR RUSTC_WORKSPACE_WRAPPER

# The same build that `uv run` is about to ask for, but one that shows that it goes on.
cargo build --locked --bin stepflow-server \
    --manifest-path packages/stepflow-orchestrator/Cargo.toml >&2

exec "$uv" run --locked "$@"
