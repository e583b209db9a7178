//! Reads the cases in the `test` section of a flow.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepflow_flow::{Code, Decoder, Diagnostics, Node, Source};
use stepflow_hosts::Mocks;

use super::suite::{Case, Expected, FileContent, Subject, Suite, line_of};
use crate::cli::{ComponentArgs, TestArgs};
use crate::config::{self, Config};
use crate::exit::Failure;
use crate::stderr;

/// The names of configurations for tests only. They are searched in the folder of the flow, before all others.
const CONFIGS: [&str; 4] =
    ["stepflow-config.test.yml", "stepflow-config.test.yaml", "stepflow_config.test.yml", "stepflow_config.test.yaml"];

/// Whether a document looks like a flow.
pub fn is_flow(tree: &Node) -> bool {
    ["steps", "test", "output"].iter().any(|key| tree.get(key).is_some())
}

/// Reads the cases of a flow.
pub fn read(file: &Path, source: Source, args: &TestArgs) -> Result<FileContent, Failure> {
    let loaded = stepflow_flow::load(source);
    let cases = loaded.tree().and_then(|tree| tree.get("test")?.get("cases")).map(Node::elements).unwrap_or_default();
    if cases.is_empty() && loaded.flow.is_some() {
        return Ok(FileContent::Nothing);
    }
    // A misspelt key prevents a run, so it prevents the tests, too: it is not known what the author wants.
    let is_misspelt = loaded.diagnostics.iter().any(|one| one.code == Code::MisspeltKey);
    let Some(flow) = loaded.flow.as_ref().filter(|_| !is_misspelt) else {
        return Ok(FileContent::Broken(loaded.diagnostics.render(&loaded.source, stderr::color())));
    };
    let subject = Subject::of(&loaded);
    let mut decoder = Decoder::new();
    let read: Vec<Case> = cases
        .iter()
        .zip(flow.test.iter().flat_map(|test| &test.cases))
        .map(|(node, case)| {
            let (mocks, mocked) = mocks(&mut decoder, node);
            Case {
                rule: None,
                name: case.name.clone(),
                line: line_of(&loaded.source, node.span),
                subject: Arc::clone(&subject),
                inputs: vec![case.input.clone()],
                variables: None,
                overrides: None,
                max_concurrency: None,
                cancel: None,
                mocks,
                mocked,
                expected: Expected::Partial {
                    output: case.output.clone(),
                    steps: case.expect_steps.clone(),
                    written: node.clone(),
                },
            }
        })
        .collect();
    let wrong: Diagnostics = decoder.finish();
    if !wrong.is_empty() {
        return Ok(FileContent::Broken(wrong.render(&loaded.source, stderr::color())));
    }
    let config = configuration(file, flow.test.as_ref(), args)?;
    Ok(FileContent::Suite(Box::new(Suite { file: file.to_owned(), config, cases: read })))
}

/// The `mocks` of a case, and the paths that they replace.
pub fn mocks(decoder: &mut Decoder, case: &Node) -> (Mocks, Vec<String>) {
    let Some(node) = case.get("mocks").filter(|node| !node.is_null()) else { return Default::default() };
    let mocks = decoder.inside("mocks", |decoder| Mocks::decode(decoder, node)).unwrap_or_default();
    (mocks, node.entries().iter().map(|entry| entry.key.clone()).collect())
}

fn configuration(
    file: &Path,
    test: Option<&stepflow_flow::document::TestConfig>,
    args: &TestArgs,
) -> Result<Config, Failure> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let named = |path: PathBuf| ComponentArgs { config: Some(path), worker: None };
    if args.components.config.is_some() || args.components.worker.is_some() {
        return without_planned_keys(config::find(&args.components, Some(file))?);
    }
    let test_config = test.and_then(|test| test.config.clone());
    match (test.and_then(|test| test.config_file.as_ref()), test_config) {
        (Some(_), Some(_)) => Err(Failure::outside(format!(
            "the `test` section of `{}` has both a `configFile` and a `config`",
            file.display()
        ))
        .hint("keep one of them")),
        (Some(path), None) => without_planned_keys(config::find(&named(folder.join(path)), Some(file))?),
        (None, Some(inline)) => {
            let source = Source::json(format!("{} (test.config)", file.display()), inline.as_bytes());
            without_planned_keys(config::read(source, absolute(folder)?)?)
        }
        (None, None) => {
            let beside = CONFIGS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
            without_planned_keys(config::find(&beside.map_or(args.components.clone(), named), Some(file))?)
        }
    }
}

fn without_planned_keys(config: Config) -> Result<Config, Failure> {
    config.refuse_what_is_not_built()?;
    Ok(config)
}

pub fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).map_err(|error| Failure::unreadable("folder", folder, &error))
}
