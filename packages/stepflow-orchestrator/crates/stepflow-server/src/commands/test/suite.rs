//! A file with cases, whatever its form.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepflow_flow::{Diagnostics, Loaded, Node, Plan, Source, Span};
use stepflow_hosts::Mocks;
use stepflow_protocol::Value;

use super::{conformance, flow_file};
use crate::cli::TestArgs;
use crate::config::Config;
use crate::document;
use crate::exit::Failure;
use crate::stderr;

/// The cases of a file.
pub struct Suite {
    pub file: PathBuf,
    pub config: Config,
    pub cases: Vec<Case>,
}

/// One case.
pub struct Case {
    /// The rule that it shows; none for the case of a flow.
    pub rule: Option<String>,
    pub name: String,
    pub line: usize,
    pub subject: Arc<Subject>,
    pub inputs: Vec<Value>,
    pub variables: Option<Value>,
    pub overrides: Option<Source>,
    pub max_concurrency: Option<u32>,
    /// The step at which the run is cancelled, as soon as it is under way.
    pub cancel: Option<String>,
    pub mocks: Mocks,
    /// The paths that `mocks` answers for.
    pub mocked: Vec<String>,
    pub expected: Expected,
}

/// The flow that a case is about, with all that is wrong with it.
pub struct Subject {
    pub plan: Option<Arc<Plan>>,
    pub diagnostics: Diagnostics,
}

/// What should come of a case.
pub enum Expected {
    /// The `output` and `expectSteps` of a flow's case, of which parts may be left out.
    Partial {
        output: Option<Value>,
        steps: Option<Value>,
        /// The case in its file, so that its output can be written anew.
        written: Node,
    },
    /// The `expect` of a conformance case: of each item when there are several inputs.
    Exact { items: Vec<Value>, batch: bool, diagnostics: Option<Value> },
}

/// What a file is.
pub enum Read {
    Suite(Box<Suite>),
    /// It cannot be read; for people.
    Broken(String),
    /// It has no cases.
    Nothing,
}

impl Case {
    /// Whether it is about more than diagnostics.
    pub fn runs(&self) -> bool {
        match &self.expected {
            Expected::Partial { .. } => true,
            Expected::Exact { items, .. } => {
                items.is_empty() || items.iter().any(|item| item.field("outcome").is_some())
            }
        }
    }

    /// What it is called in reports.
    pub fn title(&self) -> String {
        match &self.rule {
            Some(rule) => format!("[{rule}] {}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Subject {
    pub fn of(loaded: &Loaded) -> Arc<Self> {
        let plan = loaded.flow.clone().and_then(|flow| Plan::compile(flow).ok()).map(Arc::new);
        Arc::new(Self { plan, diagnostics: loaded.diagnostics.clone() })
    }
}

/// Reads a file with cases.
///
/// # Errors
/// When the file or its configuration cannot be read.
pub fn read(file: &Path, args: &TestArgs) -> Result<Read, Failure> {
    let source = document::read("tests", file)?;
    let tree = match stepflow_flow::read_node(&source) {
        Ok(tree) => tree,
        Err(wrong) => return Ok(Read::Broken(wrong.render(&source, stderr::color()))),
    };
    if conformance::is_conformance(&tree) {
        conformance::read(file, &source, &tree, args)
    } else if flow_file::is_flow(&tree) {
        flow_file::read(file, source, args)
    } else {
        Ok(Read::Nothing)
    }
}

/// The line on which something begins.
pub fn line_of(source: &Source, span: Span) -> usize {
    1 + source.text.iter().take(span.start).filter(|byte| **byte == b'\n').count()
}
