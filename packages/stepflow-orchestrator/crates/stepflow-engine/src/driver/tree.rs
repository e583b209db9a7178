//! One run tree in the driver's hands: its machine, and how far the world has been told.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stepflow_flow::{Plan, PlannedStep};
use stepflow_protocol::{FlowId, RunId};
use tokio::sync::{mpsc, oneshot};

use crate::engine::CancelError;
use crate::event::{Record, StepRef, TaskRef};
use crate::machine::{Effect, Machine};
use crate::ports::StoreError;
use crate::subscription::Notice;

/// See the module.
pub(super) struct Tree {
    pub machine: Machine,
    pub plans: HashMap<FlowId, Arc<Plan>>,
    /// Decided and not yet durable, in order.
    pub undurable: VecDeque<Arc<Record>>,
    /// The last durable sequence.
    pub durable: u64,
    /// The last sequence of which the effects have been carried out.
    pub carried: u64,
    /// How many values are on their way into memory.
    pub loading: usize,
    /// Offers that wait for their input to be in memory.
    pub held: Vec<Effect>,
    pub subscribers: Vec<mpsc::UnboundedSender<Notice>>,
    /// What workers have now: whoever subscribes later is told, for no journal says so.
    pub started: HashMap<TaskRef, Notice>,
    /// Who waits for the run to be durable.
    pub created: Option<oneshot::Sender<Result<RunId, StoreError>>>,
    /// Who waits for its cancellation to be durable.
    pub cancelled: Vec<oneshot::Sender<Result<(), CancelError>>>,
    root: RunId,
}

impl Tree {
    pub fn new(root: RunId, plan: Arc<Plan>) -> Self {
        Self {
            machine: Machine::new(root),
            plans: HashMap::from([(plan.flow_id, plan)]),
            undurable: VecDeque::new(),
            durable: 0,
            carried: 0,
            loading: 0,
            held: Vec::new(),
            subscribers: Vec::new(),
            started: HashMap::new(),
            created: None,
            cancelled: Vec::new(),
            root,
        }
    }

    /// The plan of a step.
    pub fn planned(&self, step: StepRef) -> Option<&PlannedStep> {
        self.plan_of(step.run)?.steps.get(step.step as usize)
    }

    /// The plan of a run.
    pub fn plan_of(&self, run: RunId) -> Option<&Arc<Plan>> {
        self.plans.get(&self.machine.state().runs.get(&run)?.flow_id)
    }

    /// Everything up to this sequence is durable: whoever waited for it may know.
    pub fn became_durable(&mut self, upto: u64) {
        self.durable = self.durable.max(upto);
        while let Some(record) = self.undurable.pop_front_if(|record| record.seq <= upto) {
            self.publish(&Notice::Record(record));
        }
        if let Some(reply) = self.created.take() {
            let _ = reply.send(Ok(self.root));
        }
        if self.machine.state().is_ended() && self.undurable.is_empty() {
            for reply in self.cancelled.drain(..) {
                let _ = reply.send(Ok(()));
            }
        }
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
