#!/bin/sh
# A RUSTC_WORKSPACE_WRAPPER that changes nothing. Its path is part of the name of what cargo builds
# from this clone, so that clones sharing one CARGO_TARGET_DIR never mistake each other's crates.
exec "$@"
