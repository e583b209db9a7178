//! `stepflow-server`, also called through the launcher `stepflow`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stepflow_server::main()
}
