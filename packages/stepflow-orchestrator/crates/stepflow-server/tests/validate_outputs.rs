//! `validateOutputs`, through the command line: `test` checks outputs unless the plugin says not to, `run` does not.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A flow whose component gives a number where it declares an object, in a folder of its own.
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

fn exit(path: &Path, words: &[&str]) -> Option<i32> {
    let ended = Command::new(env!("CARGO_BIN_EXE_stepflow-server")).args(words).arg(path).output().unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    ended.status.code()
}

const FAILED: &str = "{outcome: failed, error: {kind: COMPONENT_FAILED, data: {expected: object, found: number}}}";
const SUCCEEDED: &str = "{outcome: success, result: 5}";

#[test]
fn a_test_checks_outputs_unless_the_plugin_says_not_to() {
    assert_eq!(exit(&flow("default", "", FAILED), &["test"]), Some(0));
    assert_eq!(exit(&flow("off", "validateOutputs: false,", SUCCEEDED), &["test"]), Some(0));
}

#[test]
fn a_run_checks_outputs_only_when_the_plugin_says_so() {
    assert_eq!(exit(&flow("unasked", "", SUCCEEDED), &["run", "--input-json", "null"]), Some(0));
    let asked = exit(&flow("asked", "validateOutputs: true,", FAILED), &["run", "--input-json", "null"]);
    assert_eq!(asked, Some(1));
}
