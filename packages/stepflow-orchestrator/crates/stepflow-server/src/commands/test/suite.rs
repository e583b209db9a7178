//! A file with cases, whatever its form.

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

/// The line on which something begins.
pub fn line_of(source: &Source, span: Span) -> usize {
    1 + source.text.iter().take(span.start).filter(|byte| **byte == b'\n').count()
}
