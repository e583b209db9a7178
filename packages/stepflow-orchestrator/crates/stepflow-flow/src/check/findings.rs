//! What the checks find. Limited, so that the list stays readable however much is wrong.

use std::collections::BTreeMap;

use crate::diagnostics::{Code, Diagnostic};
use crate::path::Path;
use crate::repair::Repair;

/// A diagnostic whose place in the text is not known yet.
pub(crate) struct Finding {
    pub diagnostic: Diagnostic,
    pub path: Path,
    /// The path of the step that the diagnostic's label is about.
    pub related: Option<Path>,
}

impl Finding {
    pub(super) fn new(code: Code, path: Path, message: impl Into<String>) -> Self {
        Self { diagnostic: Diagnostic::new(code, &path, message), path, related: None }
    }

    /// A diagnostic that already says its path.
    pub(super) fn of(diagnostic: Diagnostic) -> Self {
        let path = Path::parse(&diagnostic.path).unwrap_or_default();
        Self { diagnostic, path, related: None }
    }

    /// The same for a flow that is written inside another one, at this path.
    pub(super) fn inside(mut self, around: &Path, in_text: bool) -> Self {
        self.path = around.clone().join(&self.path);
        self.related = self.related.map(|related| around.clone().join(&related));
        self.diagnostic.path = self.path.to_string();
        self.diagnostic.span = self.diagnostic.span.filter(|_| in_text);
        self.diagnostic.repair = self.diagnostic.repair.filter(|_| in_text);
        self
    }

    pub(super) fn repair(mut self, repair: Repair) -> Self {
        self.diagnostic.repair = Some(repair);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.diagnostic = self.diagnostic.help(help);
        self
    }
}

/// The most findings of one kind that are kept. More than the diagnostics that are kept, because some findings are
/// dropped later: they only follow from mistakes that were reported already.
const MOST_OF_A_KIND: usize = 1_000;

/// The findings of a flow. Of each kind the first thousand are kept, and the others are counted.
#[derive(Default)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    /// How many of each kind there are.
    found: BTreeMap<Code, usize>,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        let found = self.found.entry(finding.diagnostic.code).or_default();
        *found += 1;
        if *found <= MOST_OF_A_KIND {
            self.kept.push(finding);
        }
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// Counts findings that another list has not kept.
    pub(super) fn leave_out(&mut self, code: Code, count: usize) {
        *self.found.entry(code).or_insert(MOST_OF_A_KIND) += count;
    }

    pub(crate) fn kept(&self) -> &[Finding] {
        &self.kept
    }

    pub(super) fn kept_mut(&mut self) -> &mut [Finding] {
        &mut self.kept
    }

    pub(crate) fn into_kept(self) -> Vec<Finding> {
        self.kept
    }

    /// How many of each kind are not kept.
    pub(crate) fn left_out(&self) -> Vec<(Code, usize)> {
        let beyond = |(code, found): (&Code, &usize)| Some((*code, found.checked_sub(MOST_OF_A_KIND)?));
        self.found.iter().filter_map(beyond).filter(|(_, count)| *count > 0).collect()
    }
}
