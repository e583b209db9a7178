//! Finds the expressions that can be evaluated in the open items: which steps are wanted, and what each of them waits
//! for.
//!
//! An expression is evaluated again only when everything that it waited for has ended. So a chain of n steps costs n
//! evaluations and not n².

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use stepflow_flow::{Evaluated, Expr, Plan, StepIndex};
use stepflow_protocol::{FlowError, RunId};

use super::scope::ItemScope;
use super::size::{Heap, map, set, table, vector};
use super::state::RunTree;
use super::step::Phase;
use super::surroundings::{MOST_MISSING, Missing, Need, Surroundings, numbered, plan_of};
use crate::event::{StepRef, ValueRef};

/// An item of a run.
pub(super) type ItemRef = (RunId, u32);

/// The items that are open.
#[derive(Debug, Default)]
pub(super) struct Frontier {
    items: BTreeMap<ItemRef, OpenItem>,
    /// Those with expressions to look at.
    stirred: BTreeSet<ItemRef>,
}

/// The value of an expression.
#[derive(Debug)]
pub(super) enum Known {
    /// The step has this input.
    Input(StepRef, ValueRef),
    /// The step cannot run.
    Doomed(StepRef, Doom),
    /// The item has this output, and all of its steps that must run have ended.
    Output(ItemRef, Result<ValueRef, FlowError>),
}

/// Why a step cannot run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Doom {
    /// The failure.
    pub error: FlowError,
    /// The step that it comes from.
    pub from: Option<StepIndex>,
}

#[derive(Debug, Default)]
struct OpenItem {
    wanted: HashSet<StepIndex>,
    /// How many steps each node still waits for.
    waits: HashMap<Node, usize>,
    dependents: HashMap<StepIndex, Vec<Node>>,
    look: Vec<Node>,
    /// Steps that must run and have not ended.
    musts: HashSet<StepIndex>,
    output: Option<Result<ValueRef, FlowError>>,
}

/// Something with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Output,
    Step(StepIndex),
}

impl Frontier {
    /// Whether the item is open.
    pub fn has(&self, at: ItemRef) -> bool {
        self.items.contains_key(&at)
    }

    /// Opens the item: its output and its `mustExecute` steps are wanted.
    pub fn open(&mut self, state: &RunTree, plan: &Plan, at: ItemRef) {
        if self.has(at) {
            return;
        }
        let mut item = OpenItem { look: vec![Node::Output], ..OpenItem::default() };
        for step in plan.must_execute() {
            let place = StepRef { run: at.0, item: at.1, step: numbered(step) };
            if state.step(place).is_none_or(|step| step.result.is_none()) {
                item.musts.insert(step);
            }
            item.want(step);
        }
        self.items.insert(at, item);
        self.stirred.insert(at);
    }

    /// Takes note of the end of a step. False when its item is not open.
    pub fn step_ended(&mut self, at: StepRef) -> bool {
        let Some(item) = self.items.get_mut(&(at.run, at.item)) else { return false };
        let step = at.step as StepIndex;
        item.musts.remove(&step);
        for node in item.dependents.remove(&step).unwrap_or_default() {
            let Some(waits) = item.waits.get_mut(&node) else { continue };
            *waits -= 1;
            if *waits == 0 {
                item.waits.remove(&node);
                item.look.push(node);
            }
        }
        if !item.look.is_empty() || item.musts.is_empty() {
            self.stirred.insert((at.run, at.item));
        }
        true
    }

    /// Closes the item.
    pub fn forget(&mut self, at: ItemRef) {
        self.items.remove(&at);
        self.stirred.remove(&at);
    }

    /// Closes every item of the run.
    pub fn forget_run(&mut self, run: RunId) {
        let left: Vec<ItemRef> = self.items.range((run, 0)..=(run, u32::MAX)).map(|(at, _)| *at).collect();
        left.into_iter().for_each(|at| self.forget(at));
    }

    /// Looks at every expression whose value may be known now, and returns those that are.
    ///
    /// # Errors
    /// The values that must be in memory for it. Expressions that were looked at before are not looked at again.
    pub fn explore(
        &mut self,
        state: &RunTree,
        world: &dyn Surroundings,
        known: &mut Vec<Known>,
    ) -> Result<(), Missing> {
        let mut missing = Missing(Vec::new());
        let mut next = self.stirred.first().copied();
        while let Some(at) = next {
            next = self.stirred.range((Bound::Excluded(at), Bound::Unbounded)).next().copied();
            match self.explore_item(at, state, world, known) {
                Ok(()) => drop(self.stirred.remove(&at)),
                // The others are looked at meanwhile, so that what all of them lack is loaded at once.
                Err(needs) => missing.add(needs)?,
            }
            if missing.0.len() >= MOST_MISSING {
                break;
            }
        }
        if missing.0.is_empty() { Ok(()) } else { Err(missing) }
    }

    fn explore_item(
        &mut self,
        at: ItemRef,
        state: &RunTree,
        world: &dyn Surroundings,
        known: &mut Vec<Known>,
    ) -> Result<(), Missing> {
        let run = state.runs.get(&at.0);
        let item = run.and_then(|run| Some((run, run.items.get(at.1 as usize)?)));
        let (Some(open), Some((run, item))) = (self.items.get_mut(&at), item) else { return Ok(()) };
        let plan = plan_of(world, state, at.0)?;
        let scope = ItemScope { id: at.0, index: at.1, run, item, world };
        let mut missing = Missing(Vec::new());
        let mut lacking = Vec::new();
        while let Some(node) = open.look.pop() {
            if let Err(needs) = open.look_at(node, &plan, &scope, known) {
                lacking.push(node);
                missing.add(needs)?;
            }
        }
        open.look.extend(lacking.into_iter().rev());
        if !missing.0.is_empty() {
            return Err(missing);
        }
        if open.musts.is_empty()
            && let Some(output) = open.output.take()
        {
            known.push(Known::Output(at, output));
        }
        Ok(())
    }
}

impl Heap for Frontier {
    fn heap(&self) -> usize {
        map(&self.items) + self.items.values().map(Heap::heap).sum::<usize>()
    }
}

impl Heap for OpenItem {
    fn heap(&self) -> usize {
        let dependents: usize = self.dependents.values().map(vector).sum();
        let output = match &self.output {
            Some(Ok(place)) => place.heap(),
            Some(Err(error)) => error.heap(),
            None => 0,
        };
        let tables = set(&self.wanted) + set(&self.musts) + table(&self.waits) + table(&self.dependents);
        tables + dependents + vector(&self.look) + output
    }
}

impl OpenItem {
    fn want(&mut self, step: StepIndex) {
        if self.wanted.insert(step) {
            self.look.push(Node::Step(step));
        }
    }

    fn look_at(
        &mut self,
        node: Node,
        plan: &Plan,
        scope: &ItemScope<'_>,
        known: &mut Vec<Known>,
    ) -> Result<(), Missing> {
        let place = |step: StepIndex| StepRef { run: scope.id, item: scope.index, step: numbered(step) };
        let expression = match node {
            Node::Output => &plan.output,
            Node::Step(step) => {
                let begun = scope.item.steps.get(&numbered(step));
                if begun.is_some_and(|begun| begun.phase != Phase::Idle) {
                    return Ok(());
                }
                &plan.steps[step].input
            }
        };
        match (expression.evaluate(scope), node) {
            (Evaluated::Missing(places), _) => {
                Err(Missing(places.iter().filter_map(|place| scope.reference(place)).map(Need::Value).collect()))
            }
            (Evaluated::Pending(steps), _) => {
                self.waits.insert(node, steps.len());
                for step in steps {
                    self.dependents.entry(step).or_default().push(node);
                    self.want(step);
                }
                Ok(())
            }
            (Evaluated::Value(value), Node::Output) => {
                self.output = Some(Ok(pointed(expression, scope).unwrap_or(ValueRef::Inline(value))));
                Ok(())
            }
            (Evaluated::Failed { error, .. }, Node::Output) => {
                self.output = Some(Err(error));
                Ok(())
            }
            (Evaluated::Value(value), Node::Step(step)) => {
                let input = pointed(expression, scope).unwrap_or(ValueRef::Inline(value));
                known.push(Known::Input(place(step), input));
                Ok(())
            }
            (Evaluated::Failed { error, step: from }, Node::Step(step)) => {
                known.push(Known::Doomed(place(step), Doom { error, from }));
                Ok(())
            }
        }
    }
}

/// Where the value of the expression is already, if the expression only refers to it.
fn pointed(expression: &Expr, scope: &ItemScope<'_>) -> Option<ValueRef> {
    scope.reference(&expression.pointer()?)
}
