//! Drives machines: one task owns them all, feeds them what the world says, appends what they decide, and carries out
//! what is owed once it is durable (invariant 7).

mod carry;
mod open_runs;
mod plans;
mod sub_runs;
mod timers;
mod tree;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use stepflow_protocol::{BlobId, RunId, Value};
use tokio::sync::{mpsc, oneshot};

use self::open_runs::{Made, OpenRuns};
use self::timers::{Timer, TimerKey, Timers};
use self::tree::Tree;
use self::world::World;
use crate::engine::{CancelError, Options, Origin, Ports, Submission};
use crate::event::{CancelAsked, Record, RunCreated, TaskRef, ValueRef};
use crate::machine::{Input, Missing, Rules};
use crate::ports::{Answer, Inbox, Instance, NewRun, StoreError};
use crate::subscription::{Feed, Notice};

/// How many commands are taken from the queue at a time.
const BATCH: usize = 256;

/// The version of the language's rules that new runs go by.
const SEMANTICS: u32 = 1;

/// What the engine is told.
pub(crate) enum Command {
    Submit(Submission, Made),
    /// With what tells apart the runs that one attempt asks for.
    SubmitFrom(Origin, Submission, BlobId, Made),
    /// Reply when the run has ended; the attempt waits for it.
    Wait(RunId, Option<TaskRef>, oneshot::Sender<()>),
    Cancel(RunId, CancelAsked, oneshot::Sender<Result<(), CancelError>>),
    Subscribe(RunId, oneshot::Sender<Feed>),
    Started(TaskRef, Option<Arc<Instance>>),
    Waits(TaskRef),
    Answer(TaskRef, Answer),
    Durable(RunId, u64, Result<(), StoreError>),
    Loaded(RunId, ValueRef, Result<Value, StoreError>),
    /// It is known where the component of this path is.
    Decided(RunId, String),
    Shutdown(oneshot::Sender<()>),
}

/// The engine's side of the hosts' door.
pub struct Mailbox {
    pub(crate) sender: mpsc::UnboundedSender<Command>,
    pub(crate) receiver: mpsc::UnboundedReceiver<Command>,
}

/// The hosts' side of it. An engine that has stopped needs no answers.
pub(crate) struct PostBox(pub mpsc::UnboundedSender<Command>);

impl Inbox for PostBox {
    fn started(&self, task: TaskRef, instance: Option<&Arc<Instance>>) {
        let _ = self.0.send(Command::Started(task, instance.cloned()));
    }

    fn waits(&self, task: TaskRef) {
        let _ = self.0.send(Command::Waits(task));
    }

    fn answer(&self, task: TaskRef, answer: Answer) {
        let _ = self.0.send(Command::Answer(task, answer));
    }
}

/// The owner of all machines.
pub(crate) struct Driver {
    ports: Ports,
    rules: Rules,
    max_concurrency: u32,
    step_timeout: Option<Duration>,
    ids: world::Ids,
    trees: HashMap<RunId, Tree>,
    runs: OpenRuns,
    /// Attempts that a host has, with the timer of their timeout.
    offered: HashMap<TaskRef, (RunId, Option<TimerKey>)>,
    timers: Timers,
    commands: mpsc::UnboundedSender<Command>,
}

impl Driver {
    pub fn new(options: Options, ports: Ports, commands: mpsc::UnboundedSender<Command>) -> Self {
        let rules = Rules { transport_max_retries: options.transport_max_retries, backoff: options.backoff };
        Self {
            ports,
            rules,
            max_concurrency: options.max_concurrency.max(1),
            step_timeout: options.step_timeout,
            ids: world::Ids::default(),
            trees: HashMap::new(),
            runs: OpenRuns::default(),
            offered: HashMap::new(),
            timers: Timers::default(),
            commands,
        }
    }

    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                received = commands.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    for command in batch.drain(..) {
                        if let Command::Shutdown(done) = command {
                            let _ = done.send(());
                            return;
                        }
                        self.handle(command);
                    }
                }
                () = self.timers.next_due() => {
                    for timer in self.timers.take_due() {
                        self.timer_due(timer);
                    }
                }
            }
        }
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Submit(submission, reply) => self.submit(submission, reply),
            Command::SubmitFrom(origin, submission, call, reply) => self.submit_from(origin, submission, call, reply),
            Command::Wait(run, by, reply) => self.wait(run, by, reply),
            Command::Cancel(run, asked, reply) => self.cancel(run, asked, reply),
            Command::Subscribe(root, reply) => self.subscribe(root, reply),
            Command::Started(task, instance) => self.started(task, instance),
            Command::Waits(task) => self.waits(task),
            Command::Answer(task, answer) => self.answered(task, answer),
            Command::Durable(root, upto, result) => self.appended(root, upto, result),
            Command::Loaded(root, place, value) => self.loaded(root, &place, value),
            Command::Decided(root, path) => {
                self.trees.get_mut(&root).map(|tree| tree.undecided.remove(&path));
                self.feed(root, Input::Continue);
            }
            Command::Shutdown(_) => {}
        }
    }

    fn submit(&mut self, submission: Submission, reply: Made) {
        let root = RunId::from_uuid(self.ids.draw(self.ports.clock.now()));
        let plan = submission.plan;
        let created = RunCreated {
            run: root,
            root,
            parent: None,
            parent_run: None,
            key: None,
            nested: None,
            flow_id: plan.flow_id,
            items: u32::try_from(submission.inputs.len()).unwrap_or(u32::MAX),
            inputs: None,
            variables: submission.variables,
            overrides: submission.overrides,
            limit: submission.max_concurrency.unwrap_or(self.max_concurrency).max(1),
            deadline_at: plan.timeout.map(|timeout| timers::after(self.ports.clock.now(), timeout)),
            semantics: SEMANTICS,
        };
        let mut tree = Tree::new(root, &plan);
        for (item, input) in (0_u32..).zip(&submission.inputs) {
            tree.machine.values().insert(&ValueRef::Item(root, item), input.clone());
        }
        self.runs.expect(root, root, reply);
        self.trees.insert(root, tree);
        // All inputs are in memory, so nothing can be missing here.
        let records = self.decide(root, Input::Submitted(Box::new(created))).unwrap_or_default();
        let new = NewRun { root, run: root, plan, inputs: submission.inputs, records: records.clone() };
        let stored = self.ports.journal.create(new);
        self.append(root, records, stored);
    }

    fn cancel(&mut self, run: RunId, asked: CancelAsked, reply: oneshot::Sender<Result<(), CancelError>>) {
        let root = self.runs.root_of(run);
        let is_open = |root: &RunId| self.trees.get(root).is_some_and(|tree| tree.machine.state().is_open(run));
        let Some(root) = root.filter(is_open) else {
            let _ = reply.send(Err(CancelError::NotRunning));
            return;
        };
        self.runs.when_cancelled(run, reply);
        let run = (run != root).then_some(run);
        self.feed(root, Input::CancelAsked(CancelAsked { run, ..asked }));
    }

    fn subscribe(&mut self, root: RunId, reply: oneshot::Sender<Feed>) {
        if let Some(tree) = self.trees.get_mut(&root) {
            let (sender, news) = mpsc::unbounded_channel();
            for notice in tree.started.values() {
                let _ = sender.send(notice.clone());
            }
            tree.subscribers.push(sender);
            let _ = reply.send(Feed { durable: tree.durable, news });
        }
    }

    fn started(&mut self, task: TaskRef, instance: Option<Arc<Instance>>) {
        let Some((root, timer)) = self.offered.get_mut(&task) else { return };
        if let Some(timer) = timer.take() {
            self.timers.disarm(timer);
        }
        let Some(tree) = self.trees.get_mut(root) else { return };
        let Some(step) = tree.machine.state().tasks.get(&task.task_id).copied() else { return };
        if let Some(timeout) = tree.timeout_of(step).or(self.step_timeout) {
            *timer = Some(self.timers.arm(timeout, Timer::Attempt(*root, task)));
        }
        let notice = Notice::Started { step, task, instance };
        tree.publish(&notice);
        tree.started.insert(task, notice);
    }

    fn waits(&mut self, task: TaskRef) {
        let Some((root, timer)) = self.offered.get_mut(&task) else { return };
        if let Some(timer) = timer.take() {
            self.timers.disarm(timer);
        }
        if let Some(tree) = self.trees.get_mut(root) {
            tree.started.remove(&task);
        }
    }

    fn answered(&mut self, task: TaskRef, answer: Answer) {
        let Some((root, timer)) = self.offered.remove(&task) else { return };
        if let Some(timer) = timer {
            self.timers.disarm(timer);
        }
        let tree = self.trees.get_mut(&root);
        let instance = tree.and_then(|tree| tree.closed(task));
        self.feed(root, Input::Answered(task, answer, instance));
    }

    fn timer_due(&mut self, timer: Timer) {
        match timer {
            Timer::Step(root, step) => self.feed(root, Input::Due(step)),
            Timer::Attempt(root, task) => {
                let tree = self.trees.get(&root);
                let instance = tree.and_then(|tree| tree.started.get(&task)).cloned().and_then(Notice::into_instance);
                self.feed(root, Input::TimedOut(task, instance));
            }
            Timer::Run(root, run) => self.feed(root, Input::DeadlineReached(run)),
        }
    }

    fn loaded(&mut self, root: RunId, place: &ValueRef, value: Result<Value, StoreError>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.loading = tree.loading.saturating_sub(1);
        match value {
            Ok(value) => tree.machine.values().insert(place, value),
            // A content that is not there is an answer: it decides what becomes of a step.
            Err(StoreError::NotFound { .. }) if matches!(place, ValueRef::Blob(_)) => {
                tree.machine.values().insert_absent(place);
            }
            Err(error) => return self.abandon(root, error),
        }
        if tree.loading == 0 {
            self.offer_held(root);
            self.feed(root, Input::Continue);
        }
    }

    /// Tells a machine, and has what it decides recorded.
    fn feed(&mut self, root: RunId, input: Input) {
        if let Some(records) = self.decide(root, input) {
            if !records.is_empty() {
                let stored = self.ports.journal.append(root, records.clone());
                self.append(root, records, stored);
            }
            self.settle(root);
        }
    }

    /// What a machine decides; `None` while values are on their way to it.
    fn decide(&mut self, root: RunId, input: Input) -> Option<Vec<Record>> {
        let tree = self.trees.get_mut(&root)?;
        let (ports, rules, ids, undecided) = (&self.ports, &self.rules, &mut self.ids, BTreeSet::new());
        let mut world = World { ports, rules, plans: &mut tree.plans, ids, undecided };
        let decided = tree.machine.apply(input, &mut world);
        for path in world.undecided {
            if tree.undecided.insert(path.clone()) {
                let (known, commands) = (self.ports.host.decided(&path), self.commands.clone());
                tokio::spawn(async move {
                    known.await;
                    let _ = commands.send(Command::Decided(root, path));
                });
            }
        }
        match decided {
            Ok(records) => Some(records),
            Err(Missing(places)) => {
                self.load(root, places);
                None
            }
        }
    }

    fn load(&mut self, root: RunId, places: Vec<ValueRef>) {
        let Some(tree) = self.trees.get_mut(&root).filter(|tree| tree.loading == 0) else { return };
        tree.loading = places.len();
        for place in places {
            let value = self.ports.journal.value(root, &place);
            let commands = self.commands.clone();
            tokio::spawn(async move {
                let _ = commands.send(Command::Loaded(root, place, value.await));
            });
        }
    }

    /// Waits for the records to be durable; not at all when they are already.
    fn append(&mut self, root: RunId, records: Vec<Record>, mut stored: BoxFuture<'static, Result<(), StoreError>>) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        let upto = records.last().map_or(0, |record| record.seq);
        records.iter().for_each(|record| self.runs.decided(record));
        tree.undurable.extend(records.into_iter().map(Arc::new));
        match (&mut stored).now_or_never() {
            Some(result) => self.appended(root, upto, result),
            None => {
                let commands = self.commands.clone();
                tokio::spawn(async move {
                    let _ = commands.send(Command::Durable(root, upto, stored.await));
                });
            }
        }
    }

    fn appended(&mut self, root: RunId, upto: u64, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                let Some(tree) = self.trees.get_mut(&root) else { return };
                let mut waited = Vec::new();
                tree.became_durable(upto, |record| waited.extend(self.runs.durable(record)));
                waited.into_iter().for_each(|task| self.waits_no_more(task));
                self.carry_out(root);
                self.settle(root);
            }
            Err(error) => self.abandon(root, error),
        }
    }

    /// Lets go of a tree whose events could not be stored: what is not durable was seen by nobody.
    fn abandon(&mut self, root: RunId, error: StoreError) {
        self.trees.remove(&root);
        self.runs.abandon(root, &error);
    }

    /// Lets go of a tree that has ended and that nobody works for any more.
    fn settle(&mut self, root: RunId) {
        if self.trees.get(&root).is_some_and(Tree::is_done) {
            self.trees.remove(&root);
        }
    }
}
