//! What is wrong with a flow that could be read: its steps, their references, its schemas and variables.

mod access;
mod cycles;
mod findings;
mod schemas;

use std::collections::{HashMap, HashSet};

pub(crate) use findings::{Finding, Findings};
use indexmap::IndexSet;
use stepflow_protocol::Segment;

use crate::diagnostics::Code;
use crate::document::{Flow, Step};
use crate::evaluate::StepIndex;
use crate::expression::{Expression, Reference};
use crate::node::Node;
use crate::path::Path;
use crate::repair::Repair;
use crate::schema::document::Document;
use crate::subflow::{self, Subflow, Takers};
use crate::suggest;
use crate::variables::Variables;

/// Everything that is wrong with the flow. Takes time in proportion to its size. `tree` is the document's tree, if
/// there is one: mistakes inside literal sub-flows get their place from it. `takers` says which steps have a sub-flow.
pub(crate) fn check(flow: &Flow, tree: Option<&Node>, takers: Takers<'_>) -> Findings {
    let mut findings = Findings::default();
    check_names(flow, &mut findings);
    let index = check_ids(flow, &mut findings);
    check_components(flow, &mut findings);
    let mut walk = Walk {
        flow,
        takers,
        index: &index,
        variables: Variables::of(&flow.schemas),
        mentioned: vec![false; flow.steps.len()],
        undeclared: HashSet::new(),
        input: contract(flow, "input"),
        contents: contract(flow, "variables"),
        doubtful: HashSet::new(),
        guesses: 0,
        findings: &mut findings,
    };
    let needs = walk.references();
    let mentioned = walk.mentioned;
    findings.extend(cycles::find(flow, &needs));
    check_reachable(flow, &mentioned, &mut findings);
    schemas::check(flow, &mut findings);
    check_subflows(flow, tree, takers, &mut findings);
    findings
}

/// The path of a step's member.
fn step_path(step: StepIndex, member: &str) -> Path {
    Path::root().field("steps").index(step).field(member)
}

fn check_names(flow: &Flow, findings: &mut Findings) {
    if flow.name.as_ref().is_none_or(|name| name.trim().is_empty()) {
        findings.push(Finding::new(Code::MissingFlowName, Path::root().field("name"), "the flow has no name"));
    }
    if flow.description.is_none() {
        let path = Path::root().field("description");
        findings.push(Finding::new(Code::MissingFlowDescription, path, "the flow has no description"));
    }
}

/// The steps by id. Of two with the same id, the first one.
fn check_ids<'a>(flow: &'a Flow, findings: &mut Findings) -> HashMap<&'a str, StepIndex> {
    let mut index = HashMap::with_capacity(flow.steps.len());
    for (place, step) in flow.steps.iter().enumerate() {
        if step.id.trim().is_empty() {
            findings.push(Finding::new(Code::EmptyStepId, step_path(place, "id"), "the step's id is blank"));
        } else if index.contains_key(step.id.as_str()) {
            let message = format!("there is another step `{}` before this one", step.id);
            findings.push(Finding::new(Code::DuplicateStepId, step_path(place, "id"), message));
        } else {
            index.insert(step.id.as_str(), place);
        }
    }
    index
}

fn check_components(flow: &Flow, findings: &mut Findings) {
    for (place, step) in flow.steps.iter().enumerate().filter(|(_, step)| !step.component.starts_with('/')) {
        let message = format!("the component `{}` is not a path: it must start with `/`", step.component);
        let finding = Finding::new(Code::InvalidComponent, step_path(place, "component"), message);
        let named = step.component.trim();
        findings.push(match named.is_empty() {
            true => finding.help("name a component such as `/builtin/noop`"),
            false => finding.help(format!("write `/{named}`")).repair(Repair::Rename(format!("/{named}"))),
        });
    }
}

fn check_reachable(flow: &Flow, mentioned: &[bool], findings: &mut Findings) {
    for (place, (step, mentioned)) in flow.steps.iter().zip(mentioned).enumerate() {
        if !mentioned && step.must_execute != Some(true) && !step.id.trim().is_empty() {
            let message = format!("nothing uses the result of step `{}`, so it never runs", step.id);
            findings.push(
                Finding::new(Code::UnreachableStep, Path::root().field("steps").index(place), message)
                    .help("use its result in the output or in a step's input, or set `mustExecute: true`"),
            );
        }
    }
}

/// Checks the sub-flows like the flow around them, so that a mistake in one shows before its step runs.
fn check_subflows(flow: &Flow, tree: Option<&Node>, takers: Takers<'_>, findings: &mut Findings) {
    for (index, step) in flow.steps.iter().enumerate() {
        let at = Path::root().field("steps").index(index);
        let Some(mut subflow) = Subflow::of(step, takers, &at, tree) else { continue };
        findings.extend(subflow.take_diagnostics().into_iter().map(Finding::of));
        let Subflow { path, flow: Some(inner), node, in_text, .. } = subflow else { continue };
        let inside = check(&inner, Some(&node), takers);
        let left_out = inside.left_out();
        let applies = |one: &Finding| !subflow::NOT_FOR_SUBFLOWS.contains(&one.diagnostic.code);
        findings.extend(inside.into_kept().into_iter().filter(applies).map(|one| one.inside(&path, in_text)));
        for (code, count) in left_out {
            findings.leave_out(code, count);
        }
    }
}

/// The schema of a part of the flow, to compare paths with.
fn contract(flow: &Flow, part: &str) -> Option<Document> {
    Document::of(flow.schemas.around(&flow.schemas.part(part)?).to_json().ok()?)
}

/// A step's reference to another one.
struct Need {
    step: StepIndex,
    path: Path,
}

/// How many undefined steps get a suggestion: each search takes time in proportion to the number of steps.
const MAX_GUESSES: usize = 100;

/// Replaces the advice about references in a sub-flow that should be a literal: none of them is misspelt.
fn advise_wrapping(subflow: &Path, findings: &mut [Finding]) {
    const OF_REFERENCES: [Code; 3] = [Code::UndefinedStepReference, Code::SelfReference, Code::UnvalidatedAccess];
    let inside = |finding: &&mut Finding| finding.path.segments().starts_with(subflow.segments());
    for finding in findings.iter_mut().filter(inside) {
        if OF_REFERENCES.contains(&finding.diagnostic.code) {
            finding.diagnostic.help = Some("wrap the sub-flow in `$literal`".to_owned());
        }
    }
}

/// Goes through all references of a flow.
struct Walk<'a, 'f> {
    flow: &'a Flow,
    takers: Takers<'f>,
    index: &'a HashMap<&'a str, StepIndex>,
    variables: Variables,
    mentioned: Vec<bool>,
    /// Variables that were reported because the flow declares none: each is reported once.
    undeclared: HashSet<&'a str>,
    /// The schemas of the input and of the variables.
    input: Option<Document>,
    contents: Option<Document>,
    /// Paths that were reported because they lead nowhere: each is reported once.
    doubtful: HashSet<(&'static str, Path)>,
    guesses: usize,
    findings: &'f mut Findings,
}

impl<'a> Walk<'a, '_> {
    /// Checks the references. Returns for each step the other steps that its input needs, each once.
    fn references(&mut self) -> Vec<Vec<Need>> {
        let flow = self.flow;
        let needs = flow.steps.iter().enumerate().map(|(place, step)| {
            let known = self.findings.kept().len();
            let needs = self.expression(&step.input, &step.id, step_path(place, "input"));
            let at = Path::root().field("steps").index(place);
            let takes = (self.takers)(&step.component);
            if let Some(subflow) = takes.and_then(|takes| subflow::unwrapped(step, takes, &at)) {
                advise_wrapping(&subflow, &mut self.findings.kept_mut()[known..]);
            }
            needs
        });
        let needs = needs.collect();
        self.expression(&flow.output, "", Path::root().field("output"));
        needs
    }

    fn expression(&mut self, expression: &'a Expression, owner: &str, mut at: Path) -> Vec<Need> {
        let mut needs = Vec::new();
        let mut seen = HashSet::new();
        expression.references(&mut at, &mut |path, reference| match reference {
            Reference::Step(id) if id == owner => {
                let message = format!("step `{id}` needs its own result");
                self.findings.push(Finding::new(Code::SelfReference, path.clone(), message));
            }
            Reference::Step(id) => match self.index.get(id) {
                Some(step) => {
                    self.mentioned[*step] = true;
                    if seen.insert(*step) {
                        needs.push(Need { step: *step, path: path.clone() });
                    }
                }
                None => self.undefined_step(id, path),
            },
            Reference::Input(wanted) => self.access("$input", wanted.segments(), path),
            Reference::Variable { name, path: inside, has_default } => {
                self.variable(name, has_default, path);
                if has_default && inside.segments().is_empty() {
                    self.unused_default(name, path);
                }
                if self.variables.contains(name) && !has_default {
                    let name = Segment::Field(name.to_owned());
                    let whole: Vec<Segment> = [name].into_iter().chain(inside.segments().iter().cloned()).collect();
                    self.access("$variable", &whole, path);
                }
            }
        });
        needs
    }

    fn undefined_step(&mut self, id: &str, path: &Path) {
        let finding = Finding::new(Code::UndefinedStepReference, path.clone(), format!("there is no step `{id}`"));
        self.guesses += 1;
        let candidates = if self.guesses > MAX_GUESSES { &[] } else { self.flow.steps.as_slice() };
        let near = suggest::nearest(id, candidates.iter().map(|step| step.id.as_str()));
        let part = id.find(['.', '[']).filter(|at| self.index.contains_key(&id[..*at])).map(|at| id.split_at(at));
        self.findings.push(match (part, near) {
            (Some((step, path)), _) => finding.help(format!("write `{{$step: {step}, path: ${path}}}`")),
            (None, Some(near)) => finding.help(format!("did you mean `{near}`?")),
            (None, None) if self.flow.steps.is_empty() => finding.help("the flow has no steps"),
            (None, None) if self.flow.steps.len() <= 8 => {
                let known = |step: &&Step| !step.id.trim().is_empty();
                let ids = self.flow.steps.iter().filter(known).map(|step| format!("`{}`", step.id));
                let ids: IndexSet<String> = ids.collect();
                match ids.into_iter().collect::<Vec<_>>().join(", ") {
                    ids if ids.is_empty() => finding,
                    ids => finding.help(format!("the steps are {ids}")),
                }
            }
            (None, None) => finding,
        });
    }

    /// Reports a path that cannot exist, by the schema of what it leads into.
    fn access(&mut self, reference: &'static str, wanted: &[Segment], path: &Path) {
        let contract = if reference == "$input" { &self.input } else { &self.contents };
        let Some(contract) = contract.as_ref().filter(|_| self.doubtful.len() < MAX_GUESSES) else { return };
        let Some(found) = access::contradiction(contract, wanted) else { return };
        let wanted = Path::from(wanted.to_vec());
        let message = format!("`{reference}` finds nothing at `{wanted}`: {}", found.problem);
        if self.doubtful.insert((reference, wanted)) {
            let finding = Finding::new(Code::UnvalidatedAccess, path.clone(), message);
            self.findings.push(match found.near {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding,
            });
        }
    }

    /// Reports an inline default that is never used, because the variable always has a value.
    fn unused_default(&mut self, name: &str, path: &Path) {
        let Some(variable) = self.variables.get(name) else { return };
        let why = match variable.default {
            Some(_) => "it has a default already, of its schema or its type (`\"\"`, `0`, `false`, `null`)",
            None if variable.required => "every run has to be given it",
            None => return,
        };
        let message = format!("the inline default of the variable `{name}` is never used: {why}");
        let finding = Finding::new(Code::UnusedDefault, path.clone(), message);
        self.findings.push(finding.help("write it as the `default` of the variable's schema, or leave it out"));
    }

    fn variable(&mut self, name: &'a str, has_default: bool, path: &Path) {
        if !self.variables.declared() {
            if self.undeclared.insert(name) {
                let message = format!("the variable `{name}` is used, but the flow declares no variables");
                let finding = Finding::new(Code::MissingVariableSchema, path.clone(), message);
                self.findings.push(finding.help("declare it under `schemas.properties.variables`"));
            }
            return;
        }
        if self.variables.contains(name) {
            return;
        }
        let (code, message) = if has_default {
            (Code::UndefinedVariable, format!("the variable `{name}` is not declared; its default always stands in"))
        } else {
            (Code::UndefinedRequiredVariable, format!("the variable `{name}` is not declared and has no default"))
        };
        let finding = Finding::new(code, path.clone(), message);
        self.findings.push(match suggest::nearest(name, self.variables.names()) {
            Some(near) => finding.help(format!("did you mean `{near}`?")),
            None => finding.help("declare it under `schemas.properties.variables.properties`"),
        });
    }
}
