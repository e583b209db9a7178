//! A store that does what the story wants: it commits, refuses, delays, or fails for a while. In a crash it loses
//! everything that it has not committed.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt as _;
use stepflow_engine::event::{Record, TaskRef, ValueRef};
use stepflow_engine::ports::{Append, AppendRef, Appended, Commits, Created, Journal, NewRun, StoreError};
use stepflow_engine::{Shards, shard_of};
use stepflow_protocol::{RunId, Value};
use stepflow_store::MemoryStore;
use tokio::sync::{Notify, oneshot};

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is durable.
    Commit,
    /// It is not.
    Refuse,
    /// It is durable, but the answer is that it is not.
    Doubt,
}

pub struct Store {
    /// What is durable.
    pub durable: Arc<MemoryStore>,
    pub state: Mutex<State>,
    pub changed: Notify,
    /// Why the durable part has refused an append.
    refusals: Arc<Refusals>,
}

#[derive(Default)]
pub struct State {
    queue: VecDeque<Queued>,
    answers: VecDeque<Answer>,
    /// Trees with refused appends of this incarnation: all their appends are refused.
    refused: HashSet<(RunId, u64)>,
    epochs: HashMap<u8, u64>,
    tickets: u64,
    /// Nothing can be read or created.
    pub down: bool,
    /// No read is answered.
    pub reads_wait: bool,
    /// Due times cannot be read, or the open trees.
    pub no_due: bool,
    pub no_roots: bool,
    /// How many questions the store was asked, and how many of them were for a journal.
    pub asked: u64,
    pub trees_asked: u64,
    /// No read of a journal is answered.
    pub trees_wait: bool,
    /// It cannot be stored that a tree was given up.
    pub no_give_up: bool,
    /// Values and flows cannot be read, and how often somebody has tried.
    pub no_contents: bool,
    pub contents_asked: u64,
    /// Values and flows do not come back.
    pub contents_wait: bool,
    /// Appends are durable when the call returns.
    pub instant: bool,
    /// Some components change nothing outside, and may run ahead of the store.
    pub ahead: bool,
    /// How many creates and appends the store was given, and how many of those have been dealt with.
    pub given: u64,
    pub dealt: u64,
    pub fenced: u64,
    /// Mistakes of the engine.
    violations: Vec<String>,
}

/// Where the drivers of the engine that made an append wait for the answer.
pub type Told = Arc<Mutex<Vec<(Shards, Arc<dyn Commits>)>>>;

struct Queued {
    ticket: u64,
    told: Told,
    entry: Entry,
}

enum Entry {
    Append(Append),
    Create(NewRun, oneshot::Sender<Result<Created, StoreError>>),
    /// Set, or removed.
    Mark(RunId, u64, Vec<TaskRef>, bool, oneshot::Sender<Result<(), StoreError>>),
}

impl Entry {
    fn root(&self) -> RunId {
        match self {
            Self::Append(append) => append.root,
            Self::Create(run, _) => run.append.root,
            Self::Mark(root, ..) => *root,
        }
    }
}

enum Answer {
    Appended(Told, AppendRef, Result<(), StoreError>),
    Created(oneshot::Sender<Result<Created, StoreError>>, Result<Created, StoreError>),
    Marked(oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>),
}

#[derive(Default)]
struct Refusals(Mutex<Option<StoreError>>);

impl Commits for Refusals {
    fn committed(&self, _: Vec<AppendRef>) {}

    fn failed(&self, _: Vec<AppendRef>, why: StoreError) {
        *self.0.lock().unwrap() = Some(why);
    }
}

pub fn unavailable() -> StoreError {
    StoreError::unavailable("the story says so", "")
}

impl Store {
    pub fn new(keep_finished: usize) -> Arc<Self> {
        let durable = MemoryStore::new(stepflow_store::Options { keep_finished });
        Arc::new(Self { durable, state: Mutex::default(), changed: Notify::new(), refusals: Arc::default() })
    }

    /// The store, as one engine sees it.
    pub fn connect(self: &Arc<Self>) -> Arc<dyn Journal> {
        Arc::new(super::connection::Connection::new(Arc::clone(self)))
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Changes the behaviour of the store, and wakes everyone who waits for it.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    pub fn complain(&self, what: String) {
        self.lock().violations.push(what);
    }

    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub fn journal(&self, root: RunId) -> Vec<Arc<Record>> {
        self.durable.journal(root).unwrap_or_default()
    }

    pub fn record(&self, root: RunId, seq: u64) -> Option<Arc<Record>> {
        let page = self.durable.read(root, seq - 1, 1).now_or_never()?.ok()?;
        page.records.into_iter().next()
    }

    pub fn value(&self, root: RunId, place: &ValueRef) -> Value {
        match place {
            ValueRef::Inline(value) => value.clone(),
            place => self.durable.value(root, place).expect("the value is stored"),
        }
    }

    /// The attempts of a tree whose marks are durable.
    pub fn marked(&self, root: RunId) -> BTreeSet<TaskRef> {
        let page = self.durable.read(root, u64::MAX, 0).now_or_never();
        page.and_then(Result::ok).map(|page| page.marked.into_iter().collect()).unwrap_or_default()
    }

    /// The trees with requests in the queue, in the order of their first ones.
    pub fn queued(&self) -> Vec<RunId> {
        let mut roots = Vec::new();
        for queued in &self.lock().queue {
            let root = queued.entry.root();
            if !roots.contains(&root) {
                roots.push(root);
            }
        }
        roots
    }

    /// The tree of the first request.
    pub fn first(&self) -> Option<RunId> {
        self.lock().queue.front().map(|queued| queued.entry.root())
    }

    pub fn has_answers(&self) -> bool {
        !self.lock().answers.is_empty()
    }

    /// Whether the next request of this tree is an append or its creation.
    pub fn next_is_append(&self, root: RunId) -> bool {
        let state = self.lock();
        let next = state.queue.iter().find(|queued| queued.entry.root() == root);
        next.is_some_and(|queued| !matches!(queued.entry, Entry::Mark(..)))
    }

    /// Deals with the first thing in the queue of this tree. The answer waits until it is delivered.
    pub fn deal(&self, root: RunId, fate: Fate) {
        let mut state = self.lock();
        let Some(place) = state.queue.iter().position(|queued| queued.entry.root() == root) else { return };
        let Queued { told, entry, .. } = state.queue.remove(place).unwrap();
        let answer = match entry {
            Entry::Append(append) => {
                state.dealt += 1;
                let written = AppendRef { root, incarnation: append.incarnation, upto: append.upto() };
                let doomed = state.refused.contains(&(root, append.incarnation));
                let stored = if fate == Fate::Refuse || doomed { Err(unavailable()) } else { self.append(append) };
                state.fenced += u64::from(matches!(stored, Err(StoreError::Fenced { .. })));
                let result = if fate == Fate::Doubt { stored.and(Err(unavailable())) } else { stored };
                if result.is_err() {
                    state.refused.insert((root, written.incarnation));
                }
                Answer::Appended(told, written, result)
            }
            Entry::Create(run, reply) => {
                state.dealt += 1;
                let created = if fate == Fate::Refuse { Err(unavailable()) } else { self.create(&state, run) };
                let result = if fate == Fate::Doubt { created.and(Err(unavailable())) } else { created };
                Answer::Created(reply, result)
            }
            Entry::Mark(root, epoch, tasks, is_set, reply) => {
                let result = if fate == Fate::Refuse { Err(unavailable()) } else { Ok(()) };
                if result.is_err() {
                    // Nothing is stored.
                } else if is_set {
                    drop(self.durable.mark(root, epoch, tasks));
                } else {
                    drop(self.durable.unmark(root, epoch, tasks));
                }
                Answer::Marked(reply, result)
            }
        };
        state.answers.push_back(answer);
        drop(state);
        self.changed.notify_waiters();
    }

    fn append(&self, append: Append) -> Result<(), StoreError> {
        match self.durable.append(append) {
            Appended::Now => Ok(()),
            Appended::Later => Err(self.refusals.0.lock().unwrap().take().expect("a reason")),
        }
    }

    fn create(&self, state: &State, run: NewRun) -> Result<Created, StoreError> {
        let theirs = state.epochs.get(&shard_of(run.append.root)).copied().unwrap_or(0);
        if run.append.epoch < theirs {
            return Err(StoreError::Fenced { ours: run.append.epoch, theirs });
        }
        self.durable.create(run).now_or_never().expect("the memory answers at once")
    }

    /// Sends the next answer. A failure may be sent after the others.
    pub fn deliver(&self, put_off: bool) {
        let mut state = self.lock();
        let Some(answer) = state.answers.pop_front() else { return };
        if put_off && let Answer::Appended(_, _, Err(_)) = &answer {
            state.answers.push_back(answer);
            return;
        }
        drop(state);
        match answer {
            Answer::Appended(told, written, result) => Self::tell(&told, vec![written], result),
            Answer::Created(reply, result) => drop(reply.send(result)),
            Answer::Marked(reply, result) => drop(reply.send(result)),
        }
    }

    /// Sends all answers in one message. They must be answers to appends, and alike.
    pub fn deliver_together(&self) {
        let (mut all, mut last) = (Vec::new(), None);
        for answer in self.lock().answers.drain(..) {
            let Answer::Appended(told, written, result) = answer else { panic!("it is no answer to an append") };
            all.push(written);
            last = Some((told, result));
        }
        let (told, result) = last.expect("there is an answer");
        Self::tell(&told, all, result);
    }

    fn tell(told: &Told, written: Vec<AppendRef>, result: Result<(), StoreError>) {
        let told = told.lock().unwrap();
        let commits = told.iter().find(|(shards, _)| shards.contains(written[0].root)).map(|(_, commits)| commits);
        match (commits, result) {
            (Some(commits), Ok(())) => commits.committed(written),
            (Some(commits), Err(why)) => commits.failed(written, why),
            (None, _) => {}
        }
    }

    /// Loses everything that is not durable.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.queue.clear();
        state.answers.clear();
        state.refused.clear();
        (state.down, state.reads_wait) = (false, false);
        (state.trees_wait, state.contents_wait) = (false, false);
    }

    // The following functions are for connections.

    pub fn refusals(&self) -> Arc<dyn Commits> {
        Arc::clone(&self.refusals) as Arc<dyn Commits>
    }

    pub fn owned(&self, shard: u8, epoch: u64) {
        self.lock().epochs.insert(shard, epoch);
    }

    pub fn give_append(&self, told: &Told, append: Append) -> Appended {
        let mut state = self.lock();
        state.given += 1;
        let behind = state.queue.iter().any(|queued| queued.entry.root() == append.root);
        if state.instant && !behind && !state.refused.contains(&(append.root, append.incarnation)) {
            let written = AppendRef { root: append.root, incarnation: append.incarnation, upto: append.upto() };
            state.dealt += 1;
            match self.append(append) {
                Ok(()) => return Appended::Now,
                Err(why) => state.answers.push_back(Answer::Appended(Arc::clone(told), written, Err(why))),
            }
        } else {
            state.enter(told, Entry::Append(append));
        }
        Appended::Later
    }

    pub fn give_create(&self, told: &Told, run: NewRun) -> oneshot::Receiver<Result<Created, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        state.given += 1;
        if state.down {
            state.dealt += 1;
            let _ = reply.send(Err(unavailable()));
        } else {
            state.enter(told, Entry::Create(run, reply));
        }
        answer
    }

    pub fn give_mark(
        &self,
        root: RunId,
        epoch: u64,
        tasks: Vec<TaskRef>,
        is_set: bool,
    ) -> oneshot::Receiver<Result<(), StoreError>> {
        let (reply, answer) = oneshot::channel();
        self.lock().enter(&Told::default(), Entry::Mark(root, epoch, tasks, is_set, reply));
        answer
    }

    /// Waits until contents are read.
    pub async fn contents(&self) -> Result<(), StoreError> {
        self.lock().contents_asked += 1;
        loop {
            let changed = self.changed.notified();
            let (waits, fails) = {
                let state = self.lock();
                (state.contents_wait, state.no_contents)
            };
            if !waits {
                return if fails { Err(unavailable()) } else { self.turn(None).await };
            }
            changed.await;
        }
    }

    /// Waits until nothing of this tree is in the queue that is there now; of no tree for `None`.
    pub async fn turn(&self, root: Option<RunId>) -> Result<(), StoreError> {
        let ticket = self.lock().tickets;
        loop {
            let changed = self.changed.notified();
            {
                let state = self.lock();
                let before = |queued: &Queued| {
                    queued.ticket <= ticket
                        && Some(queued.entry.root()) == root
                        && !matches!(queued.entry, Entry::Mark(..))
                };
                let waits = state.reads_wait || state.trees_wait && root.is_some();
                if !waits && !state.queue.iter().any(before) {
                    return if state.down { Err(unavailable()) } else { Ok(()) };
                }
            }
            changed.await;
        }
    }
}

impl State {
    fn enter(&mut self, told: &Told, entry: Entry) {
        self.tickets += 1;
        self.queue.push_back(Queued { ticket: self.tickets, told: Arc::clone(told), entry });
    }
}
