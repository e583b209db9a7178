//! The cases of a file, which is a flow or a conformance file.

use std::path::PathBuf;
use std::sync::Arc;

use stepflow_flow::{Diagnostics, Loaded, Node, Plan, Source, Span};
use stepflow_hosts::Mocks;
use stepflow_protocol::Value;

use crate::config::Config;

/// The cases of a file.
pub struct Suite {
    pub file: PathBuf,
    pub config: Config,
    pub cases: Vec<Case>,
}

/// One case.
pub struct Case {
    /// The rule of the language that it tests; `None` for a case of a flow.
    pub rule: Option<String>,
    pub name: String,
    pub line: usize,
    pub subject: Arc<Subject>,
    pub inputs: Vec<Value>,
    pub variables: Option<Value>,
    pub overrides: Option<Source>,
    pub max_concurrency: Option<u32>,
    /// The run is cancelled as soon as this step runs.
    pub cancel: Option<String>,
    pub mocks: Mocks,
    /// The paths that `mocks` replaces.
    pub mocked: Vec<String>,
    pub expected: Expected,
}

/// The flow that a case tests, with its diagnostics.
pub struct Subject {
    pub plan: Option<Arc<Plan>>,
    pub diagnostics: Diagnostics,
}

/// The expected result of a case.
pub enum Expected {
    /// The `output` and `expectSteps` of a flow's case. Only the parts that are given are compared.
    Partial {
        output: Option<Value>,
        steps: Option<Value>,
        /// The case as its file has it, so that `--update` can change its output.
        written: Node,
    },
    /// The `expect` of a conformance case; one for each item when there are several inputs.
    Exact { items: Vec<Value>, batch: bool, diagnostics: Option<Value> },
}

/// What was read from a file.
pub enum FileContent {
    Suite(Box<Suite>),
    /// The file cannot be read; the text tells why.
    Broken(String),
    /// The file has no cases.
    Nothing,
}

impl Case {
    /// Whether its flow is run: the case is about more than diagnostics.
    pub fn has_run(&self) -> bool {
        match &self.expected {
            Expected::Partial { .. } => true,
            Expected::Exact { items, .. } => {
                items.is_empty() || items.iter().any(|item| item.field("outcome").is_some())
            }
        }
    }

    /// Its name in reports.
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

/// The line on which something begins.
pub fn line_of(source: &Source, span: Span) -> usize {
    1 + source.text.iter().take(span.start).filter(|byte| **byte == b'\n').count()
}
