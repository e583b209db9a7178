//! One run tree in the driver's hands: its machine, and how far the world has been told.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use stepflow_flow::Plan;
use stepflow_protocol::RunId;
use tokio::sync::mpsc;

use super::plans::Plans;
use super::sub_runs::Calls;
use crate::event::{Record, StepRef, TaskRef};
use crate::machine::{Effect, Machine};
use crate::ports::Instance;
use crate::subscription::Notice;

/// A run tree in memory.
pub(super) struct Tree {
    pub machine: Machine,
    pub plans: Plans,
    /// Decided and not yet durable, in order.
    pub undurable: VecDeque<Arc<Record>>,
    /// The last durable sequence.
    pub durable: u64,
    /// The last sequence of which the effects have been carried out.
    pub carried: u64,
    /// How many values are on their way into memory.
    pub loading: usize,
    /// The paths of components of which it is being found out where they lead.
    pub undecided: BTreeSet<String>,
    /// Offers that wait for their input to be in memory.
    pub held: Vec<Effect>,
    pub subscribers: Vec<mpsc::UnboundedSender<Notice>>,
    /// What workers have now: later subscribers are told, because no journal says it.
    pub started: HashMap<TaskRef, Notice>,
    /// How often open attempts have asked for the same sub-run.
    pub calls: HashMap<TaskRef, Calls>,
}

impl Tree {
    pub fn new(root: RunId, plan: &Arc<Plan>) -> Self {
        let mut plans = Plans::default();
        plans.add(plan.without_overrides());
        Self {
            machine: Machine::new(root),
            plans,
            undurable: VecDeque::new(),
            durable: 0,
            carried: 0,
            loading: 0,
            undecided: BTreeSet::new(),
            held: Vec::new(),
            subscribers: Vec::new(),
            started: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// The plan of a run.
    pub fn plan_of(&self, run: RunId) -> Option<Arc<Plan>> {
        let run = self.machine.state().runs.get(&run)?;
        self.plans.get(run.flow_id, run.overrides.as_ref())
    }

    /// How long an attempt of a step may take, where its flow says so.
    pub fn timeout_of(&self, step: StepRef) -> Option<Duration> {
        self.plan_of(step.run)?.steps.get(step.step as usize)?.timeout
    }

    /// Everything up to this sequence is durable: subscribers may know, and `known` is told of each record.
    pub fn became_durable(&mut self, upto: u64, mut known: impl FnMut(&Record)) {
        self.durable = self.durable.max(upto);
        while let Some(record) = self.undurable.pop_front_if(|record| record.seq <= upto) {
            known(&record);
            self.publish(&Notice::Record(record));
        }
    }

    /// Forgets the attempt, which is answered; the worker that had it.
    pub fn closed(&mut self, task: TaskRef) -> Option<Arc<Instance>> {
        self.calls.remove(&task);
        self.started.remove(&task).and_then(Notice::into_instance)
    }

    /// Tells all subscribers, and forgets those who have gone.
    pub fn publish(&mut self, notice: &Notice) {
        self.subscribers.retain(|subscriber| subscriber.send(notice.clone()).is_ok());
    }

    /// Whether nothing can happen any more.
    pub fn is_done(&self) -> bool {
        let state = self.machine.state();
        state.is_ended() && state.open == 0 && self.undurable.is_empty()
    }
}
