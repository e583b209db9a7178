//! A renderer of templates and nothing else, for the tests of this crate: the server is its own renderer.

use std::process::ExitCode;

fn main() -> ExitCode {
    stepflow_hosts::render_templates()
}
