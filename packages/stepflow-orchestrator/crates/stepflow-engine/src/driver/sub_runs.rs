//! Runs that running steps ask for, and the attempts that wait for runs to end.

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_protocol::{BlobId, RunId};
use tokio::sync::oneshot;

use super::open_runs::Made;
use super::{Driver, SEMANTICS, timers};
use crate::engine::{Error, Origin, Parent, Submission};
use crate::event::{RunCreated, StepRef, TaskRef, ValueRef};
use crate::machine::{Input, MAX_DEPTH, chain};

/// How often an attempt has asked for each sub-run that it gave no key.
pub(super) type Calls = HashMap<BlobId, u32>;

/// Where in its tree a sub-run belongs.
struct Parentage {
    root: RunId,
    above: RunId,
    /// The attempt that asks, with its step.
    attempt: Option<(TaskRef, StepRef)>,
}

impl Driver {
    /// Makes a run that a step asks for, or finds the one that an earlier attempt of the step has made. `call` tells
    /// apart what is asked for.
    pub(super) fn submit_from(&mut self, origin: Origin, submission: Submission, call: BlobId, reply: Made) {
        match self.place(origin.parent) {
            Err(error) => drop(reply.send(Err(error))),
            Ok(place) if origin.detached => {
                let variables = self.inherited(&place, &submission);
                self.submit(Submission { variables, ..submission }, reply);
            }
            Ok(place) => match self.known(&place, origin.key, &submission, call) {
                Err(error) => drop(reply.send(Err(error))),
                Ok((Some(run), _)) => self.runs.when_made(run, reply),
                Ok((None, key)) => self.make(&place, key, submission, reply),
            },
        }
    }

    fn place(&self, parent: Parent) -> Result<Parentage, Error> {
        match parent {
            Parent::Attempt(task) => {
                let (root, _) = self.offered.get(&task).ok_or(Error::NotOpen)?;
                let tree = self.trees.get(root).ok_or(Error::NotOpen)?;
                let step = tree.machine.state().step_of(task).ok_or(Error::NotOpen)?;
                Ok(Parentage { root: *root, above: step.run, attempt: Some((task, step)) })
            }
            Parent::Run(above) => {
                let root = self.runs.root_of(above).ok_or(Error::NotOpen)?;
                let tree = self.trees.get(&root).filter(|tree| tree.machine.state().is_open(above));
                tree.map(|_| Parentage { root, above, attempt: None }).ok_or(Error::NotOpen)
            }
        }
    }

    /// The run that has the key, if there is one, and the key. A run without a step has none: nobody will look for it.
    fn known(
        &mut self,
        place: &Parentage,
        key: Option<String>,
        submission: &Submission,
        call: BlobId,
    ) -> Result<(Option<RunId>, Option<String>), Error> {
        let (Some((task, step)), Some(tree)) = (place.attempt, self.trees.get_mut(&place.root)) else {
            return Ok((None, None));
        };
        let named = key.map(|key| format!("key:{key}")).unwrap_or_else(|| {
            let calls = tree.calls.entry(task).or_default().entry(call).or_default();
            *calls += 1;
            format!("{call}:{calls}")
        });
        let state = tree.machine.state();
        let run = state.found(step, &named);
        match run.and_then(|run| Some((run, state.runs.get(&run)?.flow_id))) {
            Some((run, flow)) if flow != submission.plan.flow_id => Err(Error::KeyTaken { run }),
            _ => Ok((run, Some(named))),
        }
    }

    fn make(&mut self, place: &Parentage, key: Option<String>, submission: Submission, reply: Made) {
        let run = RunId::from_uuid(self.ids.draw(self.ports.clock.now()));
        let variables = self.inherited(place, &submission);
        let Some(tree) = self.trees.get_mut(&place.root) else { return };
        let state = tree.machine.state();
        if state.depth(place.above) >= MAX_DEPTH {
            let chain = chain(state, place.above, place.attempt.map(|(_, step)| step), |run| tree.plan_of(run));
            return drop(reply.send(Err(Error::TooDeep { most: MAX_DEPTH, chain })));
        }
        let Submission { plan, inputs, overrides, max_concurrency, .. } = submission;
        let now = self.ports.clock.now();
        let created = RunCreated {
            run,
            root: place.root,
            parent: place.attempt.map(|(_, step)| step),
            parent_run: place.attempt.is_none().then_some(place.above),
            key,
            nested: None,
            flow_id: plan.flow_id,
            items: u32::try_from(inputs.len()).unwrap_or(u32::MAX),
            inputs: Some(ValueRef::Inline(stepflow_protocol::Value::array(inputs))),
            variables,
            limit: max_concurrency.unwrap_or(state.limit).clamp(1, state.limit.max(1)),
            deadline_at: plan.timeout.map(|timeout| timers::after(now, timeout)),
            semantics: SEMANTICS,
            overrides,
        };
        let flow = plan.without_overrides();
        self.ports.journal.keep_flow(Arc::clone(&flow));
        tree.plans.add(flow);
        self.runs.expect(run, place.root, reply);
        self.feed(place.root, Input::Submitted(Box::new(created)));
    }

    /// The variables of a run that a step asks for: those of the run above it, unless it has its own.
    fn inherited(&self, place: &Parentage, submission: &Submission) -> Option<stepflow_protocol::Value> {
        let above = || self.trees.get(&place.root)?.machine.state().runs.get(&place.above)?.variables.clone();
        submission.variables.clone().or_else(above)
    }

    /// Replies when the run has ended. Until then the attempt that waits, if one does, holds no slot.
    pub(super) fn wait(&mut self, run: RunId, by: Option<TaskRef>, reply: oneshot::Sender<()>) {
        if !self.runs.when_ended(run, reply, by) {
            return;
        }
        let Some(task) = by else { return };
        let Some(root) = self.offered.get(&task).map(|(root, _)| *root) else { return };
        if let Some(tree) = self.trees.get_mut(&root) {
            tree.machine.waits(task);
            self.feed(root, Input::Continue);
        }
    }

    /// A run that the attempt waited for has ended.
    pub(super) fn waits_no_more(&mut self, task: TaskRef) {
        let tree = self.offered.get(&task).and_then(|(root, _)| self.trees.get_mut(root));
        if let Some(tree) = tree {
            tree.machine.waits_no_more(task);
        }
    }
}
