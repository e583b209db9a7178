//! `validateOutputs`, through the command line: `test` checks outputs unless the plugin says not to, `run` does not.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A flow in its own folder. Its component returns a number but declares an object.
fn flow(name: &str, option: &str, outcome: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("stepflow-outputs-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "plugins: {{m: {{type: mock, {option} components: {{/a: {{output_schema: {{type: object}},\n\
         \x20 behaviors: {{'null': {{outcome: success, result: 5}}}}}}}}}}}}\n\
         routes: {{'/m/{{*component}}': [{{plugin: m}}]}}\n"
    );
    fs::write(folder.join("stepflow-config.yml"), config).unwrap();
    let document = format!(
        "steps: [{{id: a, component: /m/a, input: null}}]\noutput: {{$step: a}}\n\
         test: {{cases: [{{name: one, input: null, output: {outcome}}}]}}\n"
    );
    let path = folder.join("flow.yaml");
    fs::write(&path, document).unwrap();
    path
}

/// Runs a command line in this process, because the path of the binary is not known with a wrapper around the compiler.
fn exit(path: &Path, words: &[&str]) -> ExitCode {
    let words = ["stepflow"].iter().chain(words).map(OsString::from).chain([path.into()]);
    let ended = stepflow_server::run(words);
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    ended
}

const FAILED: &str = "{outcome: failed, error: {kind: COMPONENT_FAILED, data: {expected: object, found: number}}}";
const SUCCEEDED: &str = "{outcome: success, result: 5}";

#[test]
fn a_test_checks_outputs_unless_the_plugin_says_not_to() {
    assert_eq!(exit(&flow("default", "", FAILED), &["test"]), ExitCode::SUCCESS);
    assert_eq!(exit(&flow("off", "validateOutputs: false,", SUCCEEDED), &["test"]), ExitCode::SUCCESS);
}

#[test]
fn a_run_checks_outputs_only_when_the_plugin_says_so() {
    assert_eq!(exit(&flow("unasked", "", SUCCEEDED), &["run", "--input-json", "null"]), ExitCode::SUCCESS);
    let asked = exit(&flow("asked", "validateOutputs: true,", FAILED), &["run", "--input-json", "null"]);
    assert_eq!(asked, ExitCode::from(1));
}
