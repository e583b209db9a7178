//! Runs that running steps ask for, and the attempts that wait for runs to end.

use stepflow_protocol::{BlobId, RunId, Value};
use tokio::sync::oneshot;

use super::timers::Timer;
use super::waiters::Returns;
use super::{Driver, MARK_AFTER, SEMANTICS, timers};
use crate::command::{Command, Made, WaitingAttempt};
use crate::event::{Event, RunCreated, StepRef, TaskRef};
use crate::machine::{Input, MAX_DEPTH, Machine, chain};
use crate::ports::Address;
use crate::shard::in_shard_of;
use crate::submission::{Error, Origin, Parent, Submission};

/// The place of a sub-run in its tree.
struct Parentage {
    root: RunId,
    above: RunId,
    /// The attempt that asks, with its step.
    attempt: Option<(TaskRef, StepRef)>,
}

impl Driver {
    /// Makes a run that a step asks for, or finds the run that an earlier attempt of the step has made. `content` is
    /// used to distinguish requests.
    pub(super) fn submit_from(&mut self, origin: Origin, submission: Submission, content: BlobId, reply: Made) {
        if let Parent::Run(above) = origin.parent
            && self.root_of(above).is_none()
        {
            return self.find(above, Command::SubmitFrom(origin, Box::new(submission), content, reply));
        }
        match self.place(origin.parent) {
            Err(error) => drop(reply.send(Err(error))),
            Ok(place) if origin.detached => {
                let variables = self.inherited(&place, &submission);
                self.submit(Submission { variables, ..submission }, reply);
            }
            Ok(place) => match self.known(&place, origin.key, &submission, content) {
                Err(error) => drop(reply.send(Err(error))),
                Ok((Some(run), _)) => self.reply_when_durable(place.root, run, reply),
                Ok((None, key)) => self.make(&place, key, submission, reply),
            },
        }
    }

    fn machine(&self, root: RunId) -> Option<&Machine> {
        self.trees.get(&root)?.machine.as_ref()
    }

    fn place(&self, parent: Parent) -> Result<Parentage, Error> {
        match parent {
            Parent::Attempt(Address { root, task, .. }) => {
                let step = self.offered.get(root, task).and_then(|_| self.machine(root)?.state().step_of(task));
                let step = step.ok_or(Error::NotOpen)?;
                Ok(Parentage { root, above: step.run, attempt: Some((task, step)) })
            }
            Parent::Run(above) => {
                let root = self.root_of(above).ok_or(Error::NotOpen)?;
                let open = self.machine(root).is_some_and(|machine| machine.state().is_open(above));
                if open { Ok(Parentage { root, above, attempt: None }) } else { Err(Error::NotOpen) }
            }
        }
    }

    /// The run that has the key, if there is one, and the key. A run without a step has no key: no later attempt will
    /// look for it.
    fn known(
        &mut self,
        place: &Parentage,
        key: Option<String>,
        submission: &Submission,
        content: BlobId,
    ) -> Result<(Option<RunId>, Option<String>), Error> {
        let (Some((task, step)), Some(tree)) = (place.attempt, self.trees.get_mut(&place.root)) else {
            return Ok((None, None));
        };
        let named = key.map(|key| format!("key:{key}")).unwrap_or_else(|| {
            let calls = tree.calls.entry(task).or_default().entry(content).or_default();
            *calls += 1;
            format!("{content}:{calls}")
        });
        let Some(machine) = &tree.machine else { return Err(Error::NotOpen) };
        let state = machine.state();
        let run = state.found(step, &named);
        match run.and_then(|run| Some((run, state.runs.get(&run)?.flow_id))) {
            Some((run, flow)) if flow != submission.plan.flow_id => Err(Error::KeyTaken { run }),
            _ => Ok((run, Some(named))),
        }
    }

    /// Replies with a run that was found, once it is durable.
    fn reply_when_durable(&mut self, root: RunId, run: RunId, reply: Made) {
        let is_new = self.trees.get(&root).is_some_and(|tree| {
            let creates = |event: &Event| matches!(event, Event::RunCreated(created) if created.run == run);
            tree.undurable.iter().any(|record| creates(&record.event))
        });
        if is_new {
            self.waiters.when_made(run, reply);
        } else {
            let _ = reply.send(Ok(run));
        }
    }

    fn make(&mut self, place: &Parentage, key: Option<String>, submission: Submission, reply: Made) {
        let run = RunId::from_uuid(in_shard_of(place.root, self.ids.draw(self.ports.clock.now())));
        let variables = self.inherited(place, &submission);
        let Some(state) = self.machine(place.root).map(Machine::state) else {
            return drop(reply.send(Err(Error::NotOpen)));
        };
        if state.depth(place.above) >= MAX_DEPTH {
            let plan = |run| {
                let run = state.runs.get(&run)?;
                self.plans.get(run.flow_id, run.overrides.as_ref())
            };
            let chain = chain(state, place.above, place.attempt.map(|(_, step)| step), plan);
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
            inputs: None,
            variables,
            limit: max_concurrency.unwrap_or(state.limit).clamp(1, state.limit.max(1)),
            deadline_at: plan.timeout.map(|timeout| timers::after(now, timeout)),
            semantics: SEMANTICS,
            overrides,
        };
        if let Some(tree) = self.trees.get_mut(&place.root) {
            tree.flows.insert(plan.flow_id, plan.without_overrides());
        }
        self.waiters.when_made(run, reply);
        self.feed(place.root, Input::Submitted(Box::new(created), inputs));
    }

    /// The variables of a run that a step asks for: those of the run above it, unless it has its own.
    fn inherited(&self, place: &Parentage, submission: &Submission) -> Option<Value> {
        let above = || self.machine(place.root)?.state().runs.get(&place.above)?.variables.clone();
        submission.variables.clone().or_else(above)
    }

    /// Replies when the run has ended.
    pub(super) fn wait(&mut self, run: RunId, by: Option<WaitingAttempt>, reply: oneshot::Sender<()>) {
        // The waiting caller is registered before anything is read, so that it cannot miss the end.
        self.waiters.when_ended(run, reply, by);
        let machine = self.root_of(run).and_then(|root| self.trees.get(&root)).map(|tree| tree.machine.as_ref());
        match machine {
            // The tree is being read. Its end will be told, also if it has ended already.
            Some(None) => self.find_for_waiters(run),
            Some(Some(machine)) if machine.state().is_open(run) => {}
            // It has ended, but its end may be on its way to the journal.
            Some(Some(_)) if self.is_ending(run) => {}
            _ => self.find_for_waiters(run),
        }
    }

    /// Whether the run has ended, and its end is not durable.
    pub(super) fn is_ending(&self, run: RunId) -> bool {
        let ends = |event: &Event| matches!(event, Event::RunEnded(ended) if ended.run == run);
        let tree = self.root_of(run).and_then(|root| self.trees.get(&root));
        tree.is_some_and(|tree| tree.undurable.iter().any(|record| ends(&record.event)))
    }

    /// The attempt waits for one more run, and holds no slot until that has ended.
    pub(super) fn blocked(&mut self, address: Address) {
        let Address { root, task, .. } = address;
        let Some(tree) = self.trees.get_mut(&root).filter(|_| self.offered.contains(root, task)) else { return };
        *tree.waiting.entry(task).or_default() += 1;
        self.unmark(root, task);
        let Some(tree) = self.trees.get_mut(&root) else { return };
        if let Some(machine) = &mut tree.machine {
            machine.waits(task);
            self.feed(root, Input::Continue);
        }
    }

    /// Tells the drivers of the waiting attempts that a run has ended.
    pub(super) fn unblock(&self, waited: Vec<Returns>) {
        for ((root, task), reply) in waited {
            self.doors.say(root, Command::Unblocked((root, task), reply));
        }
    }

    /// A run that the attempt waited for has ended. If it waits for no other run, it goes on when there is a slot for
    /// it.
    pub(super) fn unblocked(&mut self, root: RunId, task: TaskRef, reply: oneshot::Sender<()>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(count) = tree.waiting.get_mut(&task) else { return };
        *count -= 1;
        let waits = *count > 0;
        if !waits {
            tree.waiting.remove(&task);
        }
        // One that did not wait to the end is at work already.
        if waits || reply.is_closed() {
            if let Some(machine) = &mut tree.machine {
                machine.waits_less(task);
            }
            let _ = reply.send(());
            return;
        }
        tree.returning.push_back((task, reply));
        // A tree that is being read again hears of it when its machine is there.
        let Some(machine) = &mut tree.machine else { return };
        machine.waits_no_more(task);
        let let_back = machine.take_let_back();
        self.let_back(root, let_back);
    }

    /// These attempts have waited and hold a slot again.
    pub(super) fn let_back(&mut self, root: RunId, tasks: Vec<TaskRef>) {
        for task in tasks {
            let Some(tree) = self.trees.get_mut(&root) else { return };
            let Some(at) = tree.returning.iter().position(|(returning, _)| *returning == task) else { continue };
            if let Some((_, reply)) = tree.returning.remove(at) {
                let _ = reply.send(());
            }
            if let Some(offered) = self.offered.get_mut(root, task).filter(|offered| offered.has_worker()) {
                let mark = self.timers.arm(&*self.ports.clock, MARK_AFTER, Timer::Mark(root, task));
                if let Some(before) = offered.mark.replace(mark) {
                    self.timers.disarm(before);
                }
            }
        }
    }

    /// Tells a new machine which attempts hold no slots.
    pub(super) fn hold_slots_again(&mut self, root: RunId) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let Some(machine) = &mut tree.machine else { return };
        for (task, count) in &tree.waiting {
            for _ in 0..*count {
                machine.waits(*task);
            }
        }
        for (task, _) in &tree.returning {
            machine.waits(*task);
        }
        for (task, _) in &tree.returning {
            machine.waits_no_more(*task);
        }
    }
}
