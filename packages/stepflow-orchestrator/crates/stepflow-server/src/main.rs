//! `stepflow-server`, also called through the launcher `stepflow`.

use std::process::ExitCode;

/// What one thread reads or parses, another one frees. At this, the allocator of the system is slow and keeps memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stepflow_server::main()
}
