//! Drives machines. One task owns all trees of its shards. It gives inputs to their machines, appends the events that
//! they decide, and carries out the effects once the events are durable (invariant 7).
//!
//! A machine may be dropped at any time and made again from its journal. The driver keeps what must not be lost then:
//! the attempts that hosts have, timers, waiting callers, and the inputs whose events are not durable.

mod ahead;
mod appends;
mod carry;
mod creating;
mod deciding;
mod finding;
mod given_up;
mod loading;
mod memory;
mod offered;
mod ownership;
mod reports;
mod sub_runs;
mod surroundings;
mod timers;
mod tree;
mod waiters;
mod wakeups;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use stepflow_protocol::RunId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::finding::Unfound;
use self::given_up::GivenUp;
use self::memory::{Plans, Values};
use self::offered::Offers;
use self::ownership::Ownership;
use self::timers::Timers;
use self::tree::Tree;
use self::waiters::Waiters;
use crate::command::{Cancelled, Command, Doors};
use crate::event::CancelAsked;
use crate::machine::{Input, Rules};
use crate::notice::Notice;
use crate::options::{Options, Ports};
use crate::shard::Shards;

/// How many commands are taken from the queue at a time, and how many timers.
const BATCH: usize = 256;

/// The version of the language's rules for new runs.
const SEMANTICS: u32 = 1;

/// How long a worker has had an attempt when it is marked: if the server crashes then, the attempt may be the reason.
const MARK_AFTER: Duration = Duration::from_secs(1);

/// How often a tree may make its machine panic before it is given up.
const MOST_PANICS: u32 = 3;

/// Owns all trees of its shards.
pub(crate) struct Driver {
    shards: Shards,
    ports: Ports,
    rules: Rules,
    max_concurrency: u32,
    step_timeout: Option<Duration>,
    park_after: Duration,
    idle_bytes: usize,
    takes_over: bool,
    ids: surroundings::Ids,
    trees: HashMap<RunId, Tree>,
    given_up: GivenUp,
    /// Runs that could not be looked for.
    unfound: HashMap<RunId, Unfound>,
    /// The roots of the sub-runs that are open in memory.
    roots: HashMap<RunId, RunId>,
    waiters: Waiters,
    /// The attempts that hosts have.
    offered: Offers,
    values: Values,
    plans: Plans,
    timers: Timers,
    ownership: Ownership,
    incarnations: u64,
    /// What waits for the store and for hosts.
    tasks: JoinSet<()>,
    commands: mpsc::UnboundedSender<Command>,
    /// The queues of all drivers.
    doors: Doors,
    /// Whether a machine was stopped during long work. It continues after others have had their turn.
    has_more: bool,
    /// The tree whose machine is working.
    at_work_on: Option<RunId>,
    /// Whether nothing is offered any more, because the engine will stop.
    is_draining: bool,
    /// Those that wait until no host has an attempt.
    drained: Vec<oneshot::Sender<()>>,
    /// Who waits for the engine to stop.
    stopping: Option<oneshot::Sender<()>>,
    leaving: bool,
    stopped: bool,
    /// Commands that came before the shards were owned.
    early: Vec<Command>,
}

impl Driver {
    pub fn new(
        options: &Options,
        ports: Ports,
        shards: Shards,
        commands: mpsc::UnboundedSender<Command>,
        doors: Doors,
        taking_over: Arc<AtomicUsize>,
    ) -> Self {
        let drivers = shards.drivers();
        let rules = Rules {
            transport_max_retries: options.transport_max_retries,
            max_server_crashes: options.max_server_crashes,
            backoff: options.backoff.clone(),
        };
        Self {
            shards,
            ports,
            rules,
            max_concurrency: options.max_concurrency.max(1),
            step_timeout: options.step_timeout,
            park_after: options.park_after,
            takes_over: options.takes_over,
            idle_bytes: if options.takes_over { options.idle_bytes / drivers } else { usize::MAX },
            ids: surroundings::Ids::default(),
            trees: HashMap::new(),
            given_up: GivenUp::default(),
            unfound: HashMap::new(),
            roots: HashMap::new(),
            waiters: Waiters::default(),
            offered: Offers::default(),
            values: Values::new(options.cache_bytes / drivers),
            plans: Plans::new(),
            timers: Timers::default(),
            ownership: Ownership::new(taking_over),
            incarnations: 0,
            tasks: JoinSet::new(),
            commands,
            doors,
            has_more: false,
            at_work_on: None,
            is_draining: false,
            drained: Vec::new(),
            stopping: None,
            leaving: false,
            stopped: false,
            early: Vec::new(),
        }
    }

    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        self.take_over();
        let clock = Arc::clone(&self.ports.clock);
        let mut batch = Vec::with_capacity(BATCH);
        while !self.stopped {
            while self.tasks.try_join_next().is_some() {}
            tokio::select! {
                received = commands.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    for command in batch.drain(..) {
                        self.contain(command);
                    }
                    // Between two parts of long work, hosts and callers have their turn.
                    if std::mem::take(&mut self.has_more) {
                        tokio::task::yield_now().await;
                    }
                }
                () = self.timers.next_due(&*clock) => {
                    for _ in 0..BATCH {
                        match self.timers.take_due(&*clock) {
                            Some(timer) => self.guard(|driver| driver.timer_due(timer)),
                            None => break,
                        }
                    }
                }
            }
        }
        // What is still in the queue is for nobody.
        drop(commands);
        self.end().await;
    }

    /// Lets go of everything: whoever waits for the engine to stop may close the store then.
    async fn end(mut self) {
        self.tasks.shutdown().await;
        let done = self.stopping.take();
        drop(self);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Carries out the command.
    fn contain(&mut self, command: Command) {
        match command {
            Command::Committed(appends) if appends.len() > 1 => {
                appends.into_iter().for_each(|written| self.contain(Command::Committed(vec![written])));
            }
            Command::Failed(appends, why) if appends.len() > 1 => {
                appends.into_iter().for_each(|written| self.contain(Command::Failed(vec![written], why.clone())));
            }
            command => self.guard(|driver| driver.handle(command)),
        }
    }

    /// Works for a tree. After a panic the tree is removed from memory, and nothing else.
    fn guard(&mut self, work: impl FnOnce(&mut Self)) {
        self.at_work_on = None;
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.panicked();
        }
    }

    /// The machine that is working has panicked, or something that was lent to it.
    fn panicked(&mut self) {
        let Some(root) = self.at_work_on else { return };
        let Some(tree) = self.trees.get_mut(&root) else { return };
        tree.panics += 1;
        if tree.panics >= MOST_PANICS {
            self.give_up(root, "the engine failed on it, three times in a row".to_owned());
        } else {
            self.rebuild(root);
        }
    }

    fn handle(&mut self, command: Command) {
        if !self.is_owner() && !matches!(command, Command::Owned(_) | Command::Shutdown(_) | Command::Left) {
            self.early.push(command);
            return;
        }
        if self.stopping.is_some() && !command.is_of_the_store() {
            return;
        }
        // Work for a tree that is being read waits until it is read.
        if let Some(root) = command.root()
            && let Some(tree) = self.root_of(root).and_then(|root| self.trees.get_mut(&root))
            && tree.machine.is_none()
        {
            tree.pending.push_back(command);
            return;
        }
        match command {
            Command::Submit(submission, reply, turn) => {
                drop(turn);
                self.submit(*submission, reply);
            }
            Command::SubmitFrom(origin, submission, content, reply) => {
                self.submit_from(origin, *submission, content, reply);
            }
            Command::Wait(run, by, reply) => self.wait(run, by, reply),
            Command::Blocked(address) => self.blocked(address),
            Command::Unblocked((root, task), reply) => self.unblocked(root, task, reply),
            Command::Cancel(run, asked, reply) => self.cancel(run, asked, reply),
            Command::Subscribe(root, subscriber, reply) => {
                self.subscribe(root, subscriber);
                let _ = reply.send(());
            }
            Command::Starting(task, hold) => self.starting(task, hold),
            Command::Started(task, instance) => self.started(task, instance),
            Command::Waits(task) => self.waits(task),
            Command::Answer(task, answer) => self.answered(task, answer),
            Command::TimedOut(root, task) => self.timed_out(root, task),
            Command::Tell(root, input) => self.told(root, input),
            Command::Decided(root, path) => {
                self.trees.get_mut(&root).map(|tree| tree.undecided.remove(&path));
                self.feed(root, Input::Continue);
            }
            Command::Created(written, created) => self.created(written, created),
            Command::Committed(appends) => {
                appends.into_iter().for_each(|written| self.committed(written));
                self.stop_when_stored();
            }
            Command::Failed(appends, why) => {
                appends.into_iter().for_each(|written| self.failed(written, &why));
                self.stop_when_stored();
            }
            Command::Marked(root, task, hold, is_stored) => self.marked(root, task, hold, is_stored),
            Command::Read(root, incarnation, read) => self.tree_read(root, incarnation, read),
            Command::Values(root, incarnation, places, values) => {
                self.values_loaded(root, incarnation, &places, values);
            }
            Command::Flow(root, incarnation, id, flow) => self.flow_loaded(root, incarnation, id, flow),
            Command::Found(run, standing, about) => self.found(run, standing, *about),
            Command::Owned(owned) => self.owned(owned),
            Command::OpenRoots(after, roots) => self.open_roots(after, roots),
            Command::Due(upto, due) => self.due(upto, due),
            Command::GivenUp(root, noted) => self.noted_given_up(root, noted),
            Command::Left => self.left(),
            Command::Drain(done) => {
                self.is_draining = true;
                self.drained.push(done);
                self.tell_drained();
            }
            Command::Shutdown(done) => self.shut_down(done),
        }
    }

    fn cancel(&mut self, run: RunId, asked: CancelAsked, reply: Cancelled) {
        let Some(root) = self.root_of(run) else {
            return self.find(run, Command::Cancel(run, asked, reply));
        };
        let open = self.trees.get(&root).and_then(|tree| tree.machine.as_ref());
        if !open.is_some_and(|machine| machine.state().is_open(run)) {
            // The answer tells of the tree's end, which may be lost before it is durable.
            if self.is_ending(run) {
                return self.waiters.when_cancelled(run, reply);
            }
            let _ = reply.send(Err(crate::submission::CancelError::NotRunning));
            return;
        }
        self.waiters.when_cancelled(run, reply);
        let run = (run != root).then_some(run);
        self.feed(root, Input::CancelAsked(CancelAsked { run, ..asked }));
    }

    fn subscribe(&mut self, root: RunId, subscriber: mpsc::Sender<Notice>) {
        for started in self.offered.of(root).filter_map(|(_, offered)| offered.started.clone()) {
            let _ = subscriber.try_send(started);
        }
        self.waiters.subscribe(root, subscriber);
    }

    /// The root of a run, if a part of its tree is in memory.
    fn root_of(&self, run: RunId) -> Option<RunId> {
        if self.trees.contains_key(&run) { Some(run) } else { self.roots.get(&run).copied() }
    }

    /// A new number for what is decided from now on.
    fn next_incarnation(&mut self) -> u64 {
        self.incarnations += 1;
        self.incarnations
    }
}
