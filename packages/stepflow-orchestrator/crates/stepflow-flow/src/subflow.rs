//! Sub-flows: which components take a flow, where in the step's input it stands, and how it is read.
//!
//! Where a component's route leads decides whether it takes a flow: `/map` of the builtins does, under any path. The
//! checks, the pictures and the search for a flow's components all use the one reading here.

use std::borrow::Cow;

use stepflow_protocol::Value;

use crate::decode;
use crate::decoder::Decoder;
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::document::{Flow, Step};
use crate::expression::Expression;
use crate::node::Node;
use crate::path::Path;
use crate::read;
use crate::source::Source;

/// How a component takes a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A member of its input, which it runs.
    Member(&'static str),
    /// A member of its input, when another member has this value. The component keeps the flow and does not run it.
    MemberIf {
        /// The member that may be a flow.
        member: &'static str,
        /// The other member, and its value.
        when: (&'static str, &'static str),
    },
    /// The id of a flow that was stored before, which it runs.
    Stored,
}

/// Says what the component at a path takes as a flow. Each caller has its own routes.
pub type Takers<'t> = &'t dyn Fn(&str) -> Option<Takes>;

impl Takes {
    /// Whether the component runs the flow, and does not only keep it.
    #[must_use]
    pub fn runs_it(self) -> bool {
        !matches!(self, Self::MemberIf { .. })
    }

    fn member(self) -> Option<&'static str> {
        match self {
            Self::Member(member) | Self::MemberIf { member, .. } => Some(member),
            Self::Stored => None,
        }
    }
}

/// What the builtin of this name takes as a flow.
#[must_use]
pub fn of_builtin(component: &str) -> Option<Takes> {
    match component {
        "/eval" => Some(Takes::Stored),
        "/iterate" => Some(Takes::Member("flow")),
        "/map" => Some(Takes::Member("workflow")),
        "/put_blob" => Some(Takes::MemberIf { member: "data", when: ("blob_type", "flow") }),
        _ => None,
    }
}

/// What the component at this path takes when there are no routes to ask: the builtins are under `/builtin`.
#[must_use]
pub fn by_default(path: &str) -> Option<Takes> {
    of_builtin(path.strip_prefix("/builtin")?)
}

/// No component takes a flow. For the checks of a flow that is about to run: its sub-flows were checked when the
/// document was read.
pub(crate) const NO_TAKERS: Takers<'static> = &|_| None;

/// The diagnostics that do not apply to a sub-flow: it needs no name, and it may use the variables of its run.
pub(crate) const NOT_FOR_SUBFLOWS: [Code; 3] =
    [Code::MissingFlowName, Code::MissingFlowDescription, Code::MissingVariableSchema];

/// The path of a sub-flow that should be a `$literal` and is not. The references in it are read as references of the
/// flow around it.
pub(crate) fn unwrapped(step: &Step, takes: Takes, at: &Path) -> Option<Path> {
    let member = takes.member()?;
    let Expression::Object(members) = &step.input else { return None };
    let (_, written) = members.iter().find(|(key, _)| key == member)?;
    let Expression::Object(parts) = written else { return None };
    let is_flow = parts.iter().any(|(key, _)| matches!(key.as_str(), "steps" | "output"));
    is_flow.then(|| at.clone().field("input").field(member))
}

/// The flow that is written in a step's input, and its path; `at` is the step's path.
#[must_use]
pub fn flow(step: &Step, takers: Takers<'_>, at: &Path) -> Option<(Path, Flow)> {
    let Subflow { path, flow, .. } = Subflow::of(step, takers, at, None)?;
    Some((path, flow?))
}

/// A literal in a step's input, read as a flow.
pub(crate) struct Subflow<'t> {
    /// Where the literal stands in the document.
    pub path: Path,
    /// The flow; `None` when the literal is not a flow.
    pub flow: Option<Flow>,
    /// What is wrong with its form.
    diagnostics: Diagnostics,
    /// Its tree.
    pub node: Cow<'t, Node>,
    /// Whether the tree is a part of the document's tree, so that its spans are places in the document's text.
    pub in_text: bool,
}

impl<'t> Subflow<'t> {
    /// Reads the literal of the step at this path; `tree` is the document's. `None` when the component takes no flow,
    /// when the step's input has no literal for it, or when the literal cannot be read as a tree.
    pub fn of(step: &Step, takers: Takers<'_>, at: &Path, tree: Option<&'t Node>) -> Option<Self> {
        let (path, literal) = literal(step, takers(&step.component)?, at)?;
        let in_document = tree.and_then(|tree| tree.find(&path)).map(Cow::Borrowed);
        let in_text = in_document.is_some();
        let read_anew = || read::read_node(&Source::json("sub-flow", literal.as_bytes())).ok().map(Cow::Owned);
        let mut decoder = Decoder::at(path.clone());
        let node = decode::modern(&mut decoder, in_document.or_else(read_anew)?);
        let flow = decode::flow(&mut decoder, &node);
        let diagnostics = decoder.finish();
        let flow = flow.filter(|_| diagnostics.num_fatal() == 0);
        Some(Self { path, flow, diagnostics, node, in_text })
    }

    /// What is wrong with its form, as diagnostics of the document. A literal that is not a flow is an error of its
    /// step and not fatal: the flow around it can still be run.
    pub fn take_diagnostics(&mut self) -> Vec<Diagnostic> {
        let in_text = self.in_text;
        let of_document = |mut diagnostic: Diagnostic| {
            if diagnostic.level == Level::Fatal {
                diagnostic.code = Code::InvalidSubflow;
                diagnostic.level = diagnostic.code.level();
                diagnostic.message = format!("the sub-flow is not a flow: {}", diagnostic.message);
            }
            if !in_text {
                diagnostic.span = None;
            }
            // Moving a section changes the literal, and with it the flow around it.
            if !in_text || diagnostic.code == Code::OldSection {
                diagnostic.repair = None;
            }
            diagnostic
        };
        std::mem::take(&mut self.diagnostics).into_iter().map(of_document).collect()
    }
}

/// Calls `visit` with every step of a flow and of the flows inside it, each with its path.
pub fn each_step(flow: &Flow, takers: Takers<'_>, at: &Path, visit: &mut dyn FnMut(&Step, &Path)) {
    for (index, step) in flow.steps.iter().enumerate() {
        let step_path = at.clone().field("steps").index(index);
        visit(step, &step_path);
        if let Some((path, inner)) = self::flow(step, takers, &step_path) {
            each_step(&inner, takers, &path, visit);
        }
    }
}

/// The constant that a step's input has for a flow, and its path; `at` is the step's path.
fn literal(step: &Step, takes: Takes, at: &Path) -> Option<(Path, Value)> {
    let input = at.clone().field("input");
    if let Takes::MemberIf { when: (key, value), .. } = takes {
        constant(&step.input, key, &input).filter(|(_, written)| *written == Value::string(value))?;
    }
    constant(&step.input, takes.member()?, &input)
}

/// A member of an input and its path, when the member is a constant.
fn constant(input: &Expression, member: &str, at: &Path) -> Option<(Path, Value)> {
    match input {
        Expression::Literal(value) => Some((at.clone().field(member), value.field(member)?)),
        Expression::Escaped(value) => Some((at.clone().field("$literal").field(member), value.field(member)?)),
        Expression::Object(members) => {
            let at = at.clone().field(member);
            match &members.iter().find(|(key, _)| key == member)?.1 {
                Expression::Literal(value) => Some((at, value.clone())),
                Expression::Escaped(value) => Some((at.field("$literal"), value.clone())),
                _ => None,
            }
        }
        _ => None,
    }
}
