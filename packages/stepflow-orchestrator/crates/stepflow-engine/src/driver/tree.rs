//! One run tree of the driver: its machine while that is in memory, and everything that must not be lost with the
//! machine.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowId, RunId, Value};
use tokio::sync::oneshot;

use super::memory::AtHand;
use super::timers::TimerKey;
use crate::command::Command;
use crate::event::{Record, TaskRef};
use crate::machine::{Effect, Input, Machine, Need};
use crate::notice::Notice;

/// How often an attempt has asked for each sub-run without a key.
pub(super) type Calls = HashMap<BlobId, u32>;

/// About how many bytes a due time takes here and among the driver's timers.
const TIMER: usize = 256;

/// A run tree that the driver works for.
pub(super) struct Tree {
    /// `None` while the journal is being read.
    pub machine: Option<Machine>,
    /// A new number each time that the journal is read: answers to earlier decisions are ignored.
    pub incarnation: u64,
    /// Decided and not yet durable, in order.
    pub undurable: VecDeque<Arc<Record>>,
    /// The last durable sequence.
    pub durable: u64,
    /// The last sequence whose effects have been carried out.
    pub carried: u64,
    /// The events that are not durable and whose steps were offered all the same, with the notices of their starts.
    pub ahead: BTreeMap<u64, Option<Notice>>,
    /// The last sequence whose steps have had the chance to run ahead of the disk.
    pub seen_ahead: u64,
    /// Inputs whose events are not durable. A new machine gets them again.
    pub kept: VecDeque<Kept>,
    /// Inputs of the last machine that the new one has not got yet.
    pub untold: VecDeque<Kept>,
    /// What came while the journal was being read.
    pub pending: VecDeque<Command>,
    /// The values that must not leave memory.
    pub at_hand: AtHand,
    /// The inputs of runs that were decided and not yet appended.
    pub inputs: HashMap<RunId, Vec<Value>>,
    /// The flows of its runs that may not be stored: their only copies.
    pub flows: BTreeMap<FlowId, Arc<Plan>>,
    /// What is on its way into memory.
    pub loading: Vec<Need>,
    /// Offers that wait for their input or their flow to be in memory.
    pub held: Vec<Effect>,
    /// The paths of components that are being looked for.
    pub undecided: BTreeSet<String>,
    /// How often open attempts have asked for the same sub-run.
    pub calls: HashMap<TaskRef, Calls>,
    /// How many runs each attempt waits for.
    pub waiting: HashMap<TaskRef, u32>,
    /// The attempts whose runs have ended and that go on when there is a slot, with the replies that they wait for.
    pub returning: VecDeque<(TaskRef, oneshot::Sender<()>)>,
    /// The attempts that the store has marked.
    pub marked: BTreeSet<TaskRef>,
    /// The timers of due times, by the sequences that decided them.
    pub timers: BTreeMap<u64, TimerKey>,
    /// What its first append brings along, until that is stored or refused.
    pub creating: Option<Creation>,
    /// How often it could not be read, in a row.
    pub failures: u32,
    /// How often what it needs could not be loaded since it last had all of it.
    pub unloaded: u32,
    /// How often it made its machine panic since something of it became durable.
    pub panics: u32,
    /// How often its appends were refused since its last durable event.
    pub refusals: u32,
    /// The length of its journal and its size in memory, while it is idle and may leave memory.
    pub parked: Option<(u64, usize)>,
    /// Whether the driver's queue contains a word for the machine to continue.
    pub is_told: bool,
    /// Whether its machine waits for the store before it continues with long work.
    pub is_ahead: bool,
    /// Counts what has happened to it, so that a timer can tell whether anything has.
    pub touched: u64,
}

/// An input whose events are not durable.
pub(super) struct Kept {
    pub input: Input,
    /// The sequence of its last event; `None` while it has not been decided.
    pub upto: Option<u64>,
}

impl Kept {
    /// The attempt whose answer it is.
    pub fn answers(&self) -> Option<TaskRef> {
        match self.input {
            Input::Answered(task, ..) => Some(task),
            _ => None,
        }
    }
}

/// What a tree's first append brings along.
#[derive(Clone)]
pub(super) struct Creation {
    pub plan: Arc<Plan>,
    pub idempotency_key: Option<String>,
    /// How often it was refused because of its shard.
    pub fenced: u32,
}

impl Tree {
    /// A tree without a machine yet.
    pub fn new(incarnation: u64) -> Self {
        Self {
            machine: None,
            incarnation,
            undurable: VecDeque::new(),
            durable: 0,
            carried: 0,
            ahead: BTreeMap::new(),
            seen_ahead: 0,
            kept: VecDeque::new(),
            untold: VecDeque::new(),
            pending: VecDeque::new(),
            at_hand: AtHand::default(),
            inputs: HashMap::new(),
            flows: BTreeMap::new(),
            loading: Vec::new(),
            held: Vec::new(),
            undecided: BTreeSet::new(),
            calls: HashMap::new(),
            waiting: HashMap::new(),
            returning: VecDeque::new(),
            marked: BTreeSet::new(),
            timers: BTreeMap::new(),
            creating: None,
            failures: 0,
            unloaded: 0,
            panics: 0,
            refusals: 0,
            parked: None,
            is_told: false,
            is_ahead: false,
            touched: 0,
        }
    }

    /// Drops the machine, and everything that was decided and is not durable.
    pub fn forget_machine(&mut self, incarnation: u64) {
        self.machine = None;
        self.incarnation = incarnation;
        self.kept.append(&mut self.untold);
        self.undurable.clear();
        self.ahead.clear();
        self.seen_ahead = 0;
        self.at_hand = AtHand::default();
        self.inputs.clear();
        self.loading.clear();
        self.held.clear();
        self.undecided.clear();
    }

    /// The inputs that were decided, up to this sequence.
    pub fn decided(&mut self, upto: u64) {
        for kept in self.kept.iter_mut().rev().take_while(|kept| kept.upto.is_none()) {
            kept.upto = Some(upto);
        }
        self.forget_durable_inputs();
    }

    /// Drops the inputs whose events are durable.
    pub fn forget_durable_inputs(&mut self) {
        let durable = self.durable;
        while self.kept.pop_front_if(|kept| kept.upto.is_some_and(|upto| upto <= durable)).is_some() {}
        if self.kept.is_empty() && self.undurable.is_empty() {
            self.flows.clear();
        }
    }

    /// The runs that it was asked for and whose beginnings are not durable.
    pub fn asked_for(&self) -> impl Iterator<Item = RunId> {
        self.kept.iter().chain(&self.untold).filter_map(|kept| match &kept.input {
            Input::Submitted(created, _) => Some(created.run),
            _ => None,
        })
    }

    /// Whether nothing can happen any more.
    pub fn is_done(&self) -> bool {
        let Some(machine) = &self.machine else { return false };
        let state = machine.state();
        state.is_ended() && state.open == 0 && self.undurable.is_empty() && self.kept.is_empty()
    }

    /// Whether only a due time, a request or a late answer can change it.
    pub fn is_idle(&self) -> bool {
        let Some(machine) = &self.machine else { return false };
        let on_its_way = self.undurable.len() + self.kept.len() + self.loading.len() + self.held.len();
        machine.state().open == 0 && on_its_way == 0 && self.undecided.is_empty() && !machine.is_waiting()
    }

    /// The first of the times that move it.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.machine.as_ref().and_then(|machine| machine.state().next_due())
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let timers = self.timers.len() * TIMER;
        // The table of all trees has empty places, too.
        2 * size_of::<Self>() + self.machine.as_ref().map_or(0, Machine::size) + timers
    }
}
