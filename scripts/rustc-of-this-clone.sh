#!/bin/sh
# A RUSTC_WORKSPACE_WRAPPER that changes nothing. Its path becomes a part of the names of cargo's build
# results, so that clones with the same CARGO_TARGET_DIR do not mix up their crates.
exec "$@"
