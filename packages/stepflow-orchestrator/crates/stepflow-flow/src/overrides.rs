//! Overrides: patches to a flow's steps for one run. They are read like every document and applied to the steps as
//! these are written. The result is decoded and checked like any flow.

mod json_patch;
mod merge;

use std::sync::Arc;

use stepflow_protocol::{MAX_DEPTH, Value};

use crate::canonical;
use crate::check;
use crate::decode;
use crate::decoder::{Decoder, Fields};
use crate::diagnostics::{Code, Diagnostic, Diagnostics, Level};
use crate::document::{Flow, Step};
use crate::evaluate::StepIndex;
use crate::node::{Content, Node};
use crate::path::Path;
use crate::read;
use crate::source::{MAX_BYTES, MAX_NODES, Source, Span};
use crate::subflow;
use crate::suggest;

/// What one run changes in the steps of its flow: `{"steps": {"<id>": {"$type": "merge_patch", "value": …}}}`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overrides {
    steps: Vec<Override>,
    /// The text that they were read from, for the lines and columns of later mistakes.
    text: Option<Arc<[u8]>>,
}

/// The change of one step.
#[derive(Debug, Clone, PartialEq)]
struct Override {
    step: String,
    /// Where the step's id is written.
    span: Span,
    patch: Patch,
}

#[derive(Debug, Clone, PartialEq)]
enum Patch {
    /// A JSON merge patch (RFC 7396) that replaces expressions as a whole.
    Merge(Node),
    /// A JSON patch (RFC 6902): its operations in their order.
    Json(Vec<json_patch::Operation>),
}

#[derive(Clone, Copy)]
enum PatchType {
    Merge,
    Json,
}

const TYPES: [(&str, PatchType); 2] = [("merge_patch", PatchType::Merge), ("json_patch", PatchType::Json)];

/// A step is nested two levels deep in its flow: `$.steps[0]`.
const STEP_DEPTH: usize = MAX_DEPTH - 2;

/// The place of everything that was not written by the overrides.
const ELSEWHERE: Span = Span { start: usize::MAX, end: usize::MAX };

impl Overrides {
    /// Reads overrides from a text, with the warnings about them.
    ///
    /// # Errors
    /// What is wrong with them, each with its line and column.
    pub fn load(source: &Source) -> Result<(Self, Diagnostics), Diagnostics> {
        let settled = |mut diagnostics: Diagnostics| {
            diagnostics.settle(&source.text);
            diagnostics
        };
        match Self::read(&read::read_flow_node(source)?) {
            Ok((overrides, warnings)) => {
                Ok((Self { text: Some(source.text.as_slice().into()), ..overrides }, settled(warnings)))
            }
            Err(wrong) => Err(settled(wrong)),
        }
    }

    /// Reads overrides from a value, such as a part of a request, with the warnings about them. Positions are positions
    /// in the value's text.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn from_value(value: &Value) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::load(&Source::json("overrides", value.as_bytes()))
    }

    /// Reads overrides from a document's tree, with the warnings about them. `null` overrides nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with them. A misspelt key is an error too: otherwise the step would stay as it is without
    /// a message.
    pub fn read(node: &Node) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut decoder = Decoder::new();
        let steps = if node.is_null() { Some(Vec::new()) } else { steps(&mut decoder, node) };
        let diagnostics = decoder.finish();
        match steps {
            Some(steps) if !stops(&diagnostics) => Ok((Self { steps, text: None }, diagnostics)),
            _ => Err(diagnostics),
        }
    }

    /// Whether nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The flow with these overrides, and the warnings about what they wrote into it.
    ///
    /// The result has another id, but a run keeps the id of the flow that it was started with:
    /// [`crate::Plan::patched`] makes the plan for that.
    ///
    /// # Errors
    /// Steps that do not exist, patches that do not fit, and everything that is wrong with the patched flow. Paths are
    /// those of the patched flow. Positions, if there are any, are those of the text of the overrides.
    pub fn apply(&self, flow: &Flow) -> Result<(Flow, Diagnostics), Diagnostics> {
        let mut patched = flow.clone();
        let mut diagnostics = Diagnostics::default();
        for one in &self.steps {
            match flow.steps.iter().position(|step| step.id == one.step) {
                Some(place) => {
                    if let Some(step) = one.apply(&flow.steps[place], place, &mut diagnostics) {
                        patched.steps[place] = step;
                    }
                }
                None => diagnostics.push(one.undefined(flow)),
            }
        }
        if !stops(&diagnostics) {
            let findings = check::check(&patched, None, subflow::NO_TAKERS);
            let left_out = findings.left_out();
            let found = findings.into_kept().into_iter().map(|finding| finding.diagnostic);
            diagnostics.extend(found.filter(|diagnostic| diagnostic.level == Level::Fatal));
            for (code, count) in left_out.into_iter().filter(|(code, _)| code.level() == Level::Fatal) {
                diagnostics.leave_out(code, count);
            }
        }
        if let Some(text) = &self.text {
            diagnostics.settle(text);
        }
        if stops(&diagnostics) { Err(diagnostics) } else { Ok((patched, diagnostics)) }
    }
}

fn stops(diagnostics: &Diagnostics) -> bool {
    diagnostics.num_fatal() + diagnostics.num_error() > 0
}

/// The overrides by step: under `steps`, or the object itself, as older servers took them.
fn steps(decoder: &mut Decoder, node: &Node) -> Option<Vec<Override>> {
    let wrapped = node.get("steps").is_some_and(|steps| steps.get("$type").is_none());
    if wrapped {
        let mut fields = decoder.fields(node)?;
        let steps = fields.optional(decoder, "steps", each_step);
        fields.close(decoder);
        return Some(steps.unwrap_or_default());
    }
    let steps = each_step(decoder, node)?;
    if let Some(first) = node.entries().first() {
        let message = "the overrides are not inside `steps`; they are read as if they were";
        decoder.report(Code::UnknownKey, first.key_span, message).help("write `{steps: {<id>: …}}`");
    }
    Some(steps)
}

fn each_step(decoder: &mut Decoder, node: &Node) -> Option<Vec<Override>> {
    let patches = decoder.each_member(node, |decoder, entry| {
        let patch = patch(decoder, &entry.value)?;
        Some(Override { step: entry.key.clone(), span: entry.key_span, patch })
    })?;
    Some(patches.into_iter().map(|(_, patch)| patch).collect())
}

fn patch(decoder: &mut Decoder, node: &Node) -> Option<Patch> {
    let mut fields = decoder.fields(node)?;
    let kind = match fields.get("$type") {
        Some(kind) => decoder.inside("$type", |decoder| decoder.word(kind, &TYPES)),
        None => Some(PatchType::Merge),
    };
    let patch = kind.and_then(|kind| patch_of(decoder, &mut fields, kind));
    fields.ignore("value");
    fields.close(decoder);
    patch
}

fn patch_of(decoder: &mut Decoder, fields: &mut Fields<'_>, kind: PatchType) -> Option<Patch> {
    fields.required(decoder, "value", |decoder, node| match (kind, &node.content) {
        (PatchType::Merge, Content::Object(_)) => Some(Patch::Merge(node.clone())),
        (PatchType::Merge, _) => decoder.mismatch(node, "an object (a merge patch of the step)"),
        (PatchType::Json, Content::Array(_)) => json_patch::operations(decoder, node).map(Patch::Json),
        (PatchType::Json, _) => decoder.mismatch(node, "an array (the operations of a JSON patch)"),
    })
}

impl Override {
    fn apply(&self, step: &Step, place: StepIndex, diagnostics: &mut Diagnostics) -> Option<Step> {
        let mut node = written(step, diagnostics)?;
        match &self.patch {
            Patch::Merge(patch) => merge::step(&mut node, patch),
            Patch::Json(operations) => {
                let at = Path::root().field("steps").field(self.step.as_str()).field("value");
                if let Err(wrong) = json_patch::apply(&mut node, operations, &at) {
                    diagnostics.push(*wrong);
                    return None;
                }
            }
        }
        let at = Path::root().field("steps").index(place);
        if let Some(limit) = beyond_limits(&node) {
            let message = format!("the overrides make step `{}` {limit}", self.step);
            diagnostics.push(Diagnostic::new(Code::LimitExceeded, &at, message).at(Some(self.span)));
            return None;
        }
        let mut decoder = Decoder::at(at);
        let step = decode::step(&mut decoder, &node);
        diagnostics.extend(decoder.finish().into_iter().map(|diagnostic| {
            let ours = diagnostic.span.filter(|span| *span != ELSEWHERE);
            diagnostic.at(ours.or(Some(self.span)))
        }));
        step
    }

    fn undefined(&self, flow: &Flow) -> Diagnostic {
        let at = Path::root().field("steps").field(self.step.as_str());
        let message = format!("there is no step `{}` to override", self.step);
        let diagnostic = Diagnostic::new(Code::UndefinedStepReference, &at, message).at(Some(self.span));
        match suggest::nearest(&self.step, flow.steps.iter().map(|step| step.id.as_str())) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        }
    }
}

/// The step as it is written in its flow.
fn written(step: &Step, diagnostics: &mut Diagnostics) -> Option<Node> {
    match read::read_node(&Source::json("step", canonical::step(step))) {
        Ok(mut node) => {
            place_elsewhere(&mut node);
            Some(node)
        }
        Err(wrong) => {
            diagnostics.extend(wrong);
            None
        }
    }
}

fn place_elsewhere(node: &mut Node) {
    node.span = ELSEWHERE;
    match &mut node.content {
        Content::Array(elements) => elements.iter_mut().for_each(place_elsewhere),
        Content::Object(entries) => {
            for entry in entries {
                entry.key_span = ELSEWHERE;
                place_elsewhere(&mut entry.value);
            }
        }
        _ => {}
    }
}

/// The limit of documents that a value exceeds, if it does.
fn beyond_limits(node: &Node) -> Option<&'static str> {
    let size = node.measure();
    match (size.weight > MAX_BYTES || size.nodes > MAX_NODES, size.depth > STEP_DEPTH) {
        (true, _) => Some("too large"),
        (_, true) => Some("too deep"),
        _ => None,
    }
}
