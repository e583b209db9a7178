//! The rules of the language: each rule has a case, each case has a rule, and all cases pass.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stepflow_flow::{Node, Source, read_node};

/// The least number of cases. With fewer, some were probably not found.
const AT_LEAST: usize = 300;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../..")
}

/// The ids in the document: `[area.rule]` in backticks.
fn documented() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/flow-language.md")).unwrap();
    let ids = text.split("`[").skip(1).filter_map(|rest| rest.split_once("]`").map(|(id, _)| id.to_owned()));
    ids.filter(|id| id.split('.').count() == 2 && id.chars().all(|next| next.is_ascii_alphanumeric() || next == '.'))
        .collect()
}

/// How many cases each rule has.
fn covered() -> BTreeMap<String, usize> {
    let mut rules = BTreeMap::new();
    for folder in ["runs", "documents"] {
        for entry in fs::read_dir(root().join("conformance").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let tree = read_node(&Source::yaml(path.display().to_string(), fs::read(&path).unwrap())).unwrap();
            let groups = if tree.elements().is_empty() { std::slice::from_ref(&tree) } else { tree.elements() };
            for group in groups {
                let rule = group.get("rule").and_then(Node::as_str).expect("a group names its rule");
                *rules.entry(rule.to_owned()).or_default() += group.get("cases").unwrap().elements().len();
            }
        }
    }
    rules
}

#[test]
fn every_documented_rule_has_a_case_and_every_case_a_documented_rule() {
    let documented: BTreeSet<String> = documented().into_iter().collect();
    let covered: BTreeSet<String> =
        covered().into_iter().filter(|(_, cases)| *cases > 0).map(|(rule, _)| rule).collect();
    let without_case: Vec<_> = documented.difference(&covered).collect();
    let without_rule: Vec<_> = covered.difference(&documented).collect();
    assert!(without_case.is_empty() && without_rule.is_empty(), "no case: {without_case:?}; no rule: {without_rule:?}");
}

#[test]
fn an_id_names_one_rule() {
    let ids = documented();
    let different: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(ids.len(), different.len(), "an id appears twice in the document");
}

#[test]
fn all_cases_hold() {
    let cases: usize = covered().values().sum();
    assert!(cases >= AT_LEAST, "only {cases} cases");
    let report = std::env::temp_dir().join(format!("stepflow-conformance-{}.xml", std::process::id()));
    // Cargo sets a variable with this path, but its name has a dash, so it does not pass the shell of the compiler wrapper.
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("stepflow-server");
    let words: [OsString; 5] =
        [program.into(), "test".into(), root().join("conformance").into(), "--junit".into(), report.clone().into()];
    let exit = stepflow_server::run(words);
    let xml = fs::read_to_string(&report).unwrap();
    fs::remove_file(&report).unwrap();
    assert_eq!(exit, ExitCode::SUCCESS, "{xml}");
    assert_eq!(xml.matches("<testcase ").count(), cases, "not all cases were run");
}
