//! Sub-flows that are written inside a step: the literal inputs of components that take a flow. They are decoded and
//! checked like the flow around them, so that a mistake in them shows before the step runs.

use stepflow_protocol::Value;

use super::{Finding, Findings, check};
use crate::diagnostics::{Code, Diagnostic, Level};
use crate::document::Flow;
use crate::node::Node;
use crate::path::Path;
use crate::subflow::{self, Decoded, Takers};

/// What is said of a whole flow and is no fault of a sub-flow: it needs no name, and it may use the variables of the
/// run that it is a part of.
const OF_WHOLE_FLOWS: [Code; 3] = [Code::MissingFlowName, Code::MissingFlowDescription, Code::MissingVariableSchema];

pub(super) fn check_all(flow: &Flow, tree: Option<&Node>, takers: Takers<'_>, findings: &mut Findings) {
    for (place, step) in flow.steps.iter().enumerate() {
        let at = Path::root().field("steps").index(place);
        let literal = takers(&step.component).and_then(|takes| subflow::literal(step, takes, &at));
        if let Some((path, literal)) = literal {
            check_one(&path, &literal, tree, takers, findings);
        }
    }
}

fn check_one(path: &Path, literal: &Value, tree: Option<&Node>, takers: Takers<'_>, findings: &mut Findings) {
    let Some(Decoded { flow, wrong, node, in_text }) = Decoded::of(path, literal, tree) else { return };
    findings.extend(wrong.into_iter().map(|diagnostic| of_decoding(diagnostic, in_text)));
    if let Some(flow) = flow {
        let inside = check(&flow, Some(&node), takers);
        let left_out = inside.left_out();
        let ours = inside.into_kept().into_iter().filter(|one| !OF_WHOLE_FLOWS.contains(&one.diagnostic.code));
        findings.extend(ours.map(|finding| finding.inside(path, in_text)));
        for (code, count) in left_out {
            findings.leave_out(code, count);
        }
    }
}

/// What decoding found. What makes the literal no flow is an error of the step, not of the document: the flow around
/// it can be run.
fn of_decoding(mut diagnostic: Diagnostic, in_text: bool) -> Finding {
    if diagnostic.level == Level::Fatal {
        diagnostic.code = Code::InvalidSubflow;
        diagnostic.level = diagnostic.code.level();
        diagnostic.message = format!("the sub-flow is not a flow: {}", diagnostic.message);
    }
    if !in_text {
        diagnostic.span = None;
    }
    // A section that moves makes another literal: the flow around it would not be the same.
    if !in_text || diagnostic.code == Code::OldSection {
        diagnostic.repair = None;
    }
    let path = Path::parse(&diagnostic.path).unwrap_or_default();
    Finding { diagnostic, path, related: None }
}
