//! Flows that are written inside a step's input. Whether a step takes one is known by where its component's route leads,
//! and what of the input it is, here: checks, pictures and the search for a flow's components ask this module.

use std::borrow::Cow;

use stepflow_protocol::Value;

use crate::decode;
use crate::decoder::Decoder;
use crate::diagnostics::Diagnostics;
use crate::document::{Flow, Step};
use crate::expression::Expression;
use crate::node::Node;
use crate::path::Path;
use crate::read;
use crate::source::Source;

/// What a component takes a flow as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A member of its input, which it runs.
    Member(&'static str),
    /// A member of its input, when another one has this value; it keeps the flow.
    MemberIf {
        /// The member that may be a flow.
        member: &'static str,
        /// The other member, and its value.
        when: (&'static str, &'static str),
    },
    /// The id of a flow that was stored before, which it runs.
    Stored,
}

/// Which flow the component at a path takes, by the routes that somebody has.
pub type Takers<'t> = &'t dyn Fn(&str) -> Option<Takes>;

impl Takes {
    /// Whether the component runs the flow.
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

/// What the builtin of this name takes.
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

/// What the component at this path takes where nobody has routes: the builtins are under `/builtin`.
#[must_use]
pub fn by_default(path: &str) -> Option<Takes> {
    of_builtin(path.strip_prefix("/builtin")?)
}

/// The constant that a step's input has for a flow, and where; `at` is the step's own place.
#[must_use]
pub fn literal(step: &Step, takes: Takes, at: &Path) -> Option<(Path, Value)> {
    let input = at.clone().field("input");
    if let Takes::MemberIf { when: (key, value), .. } = takes {
        constant(&step.input, key, &input).filter(|(_, written)| *written == Value::string(value))?;
    }
    constant(&step.input, takes.member()?, &input)
}

/// Where a step has a sub-flow without the `$literal` that makes it one: the references in it are read as those of
/// the flow around it.
pub(crate) fn unwrapped(step: &Step, takes: Takes, at: &Path) -> Option<Path> {
    let member = takes.member()?;
    let Expression::Object(members) = &step.input else { return None };
    let (_, written) = members.iter().find(|(key, _)| key == member)?;
    let Expression::Object(parts) = written else { return None };
    let is_flow = parts.iter().any(|(key, _)| matches!(key.as_str(), "steps" | "output"));
    is_flow.then(|| at.clone().field("input").field(member))
}

/// The flow that is written in a step's input, and where.
#[must_use]
pub fn flow(step: &Step, takers: Takers<'_>, at: &Path) -> Option<(Path, Flow)> {
    let (place, literal) = literal(step, takers(&step.component)?, at)?;
    let flow = Decoded::of(&place, &literal, None)?.flow?;
    Some((place, flow))
}

/// A literal that was read as a flow.
pub(crate) struct Decoded<'t> {
    /// The flow; `None` when the literal is none.
    pub flow: Option<Flow>,
    /// What is wrong with its form.
    pub wrong: Diagnostics,
    /// Its tree.
    pub node: Cow<'t, Node>,
    /// Whether it stands in the text as it is, and not as a copy.
    pub in_text: bool,
}

impl<'t> Decoded<'t> {
    /// Reads the literal at this place of a document, if there is one with a tree. `None` when no tree can be made.
    pub fn of(place: &Path, literal: &Value, tree: Option<&'t Node>) -> Option<Self> {
        let written = tree.and_then(|tree| tree.find(place)).map(Cow::Borrowed);
        let in_text = written.is_some();
        let read_anew = || read::read_node(&Source::json("sub-flow", literal.as_bytes())).ok().map(Cow::Owned);
        let mut decoder = Decoder::at(place.clone());
        let node = decode::modern(&mut decoder, written.or_else(read_anew)?);
        let flow = decode::flow(&mut decoder, &node);
        let wrong = decoder.finish();
        let flow = flow.filter(|_| wrong.num_fatal() == 0);
        Some(Self { flow, wrong, node, in_text })
    }
}

/// Calls `visit` with every step of a flow and of the flows inside it, each with its place.
pub fn each_step(flow: &Flow, takers: Takers<'_>, at: &Path, visit: &mut dyn FnMut(&Step, &Path)) {
    for (index, step) in flow.steps.iter().enumerate() {
        let place = at.clone().field("steps").index(index);
        visit(step, &place);
        if let Some((at, inner)) = self::flow(step, takers, &place) {
            each_step(&inner, takers, &at, visit);
        }
    }
}

/// The member of an input when it is a constant.
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
