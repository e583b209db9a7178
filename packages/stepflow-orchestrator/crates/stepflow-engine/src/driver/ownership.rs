//! Taking over shards, and handing them over. Idle trees leave memory, and are loaded again when they are needed.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use stepflow_protocol::RunId;
use tokio::sync::oneshot;

use super::Driver;
use super::timers::{Timer, TimerKey, after, until};
use crate::command::{Answers, Command};
use crate::event::OwnerChanged;
use crate::machine::Input;
use crate::ports::{OpenRoot, Owned, StoreError};
use crate::shard::shard_of;

/// How many open trees are asked for at a time, and how many due times.
const PAGE: usize = 1_000;

/// How many open trees are read at a time. What the first ones need does not wait behind the journals of all others.
const AT_ONCE: usize = 256;

/// How far ahead due times of trees that are not in memory are known.
const HORIZON: Duration = Duration::from_secs(60);

/// How long before its time a tree is read: when many times come at once, only what follows from them is left to do.
const AHEAD: Duration = Duration::from_secs(1);

/// How long to wait before shards are asked for again that could not be had.
const AGAIN: Duration = Duration::from_millis(200);

/// What is owned, and since when.
pub(super) struct Ownership {
    /// How many drivers do not know yet which runs were left open. This one has counted itself out when `listed`.
    taking_over: Arc<AtomicUsize>,
    listed: bool,
    owned: HashMap<u8, Owned>,
    /// Due times before this one have timers, if their trees are not in memory.
    horizon: Option<Timestamp>,
    /// When the next ones are asked for.
    looks_at: Option<TimerKey>,
    /// Open trees that are to be read, and those that are being read.
    unread: VecDeque<RunId>,
    being_read: HashSet<RunId>,
    /// The last one of a page, if another page follows.
    next_page: Option<RunId>,
    /// Idle trees in memory, by the lengths of their journals.
    idle: BTreeSet<(u64, RunId)>,
    idle_bytes: usize,
}

impl Ownership {
    pub fn new(taking_over: Arc<AtomicUsize>) -> Self {
        Self {
            taking_over,
            listed: false,
            owned: HashMap::new(),
            horizon: None,
            looks_at: None,
            unread: VecDeque::new(),
            being_read: HashSet::new(),
            next_page: None,
            idle: BTreeSet::new(),
            idle_bytes: 0,
        }
    }

    /// All runs are known that were left open.
    fn list_is_complete(&mut self) {
        if !std::mem::replace(&mut self.listed, true) {
            self.taking_over.fetch_sub(1, Ordering::Release);
        }
    }

    /// The number under which the run's tree is owned.
    pub fn epoch(&self, run: RunId) -> u64 {
        self.owned.get(&shard_of(run)).map_or(0, |owned| owned.epoch)
    }

    fn is_clean(&self, run: RunId) -> bool {
        self.owned.get(&shard_of(run)).is_some_and(|owned| owned.clean)
    }
}

impl Driver {
    /// Asks for the shards. Commands wait until it has them.
    pub(super) fn take_over(&mut self) {
        let answers = Arc::new(Answers(self.commands.clone()));
        let owned = self.ports.journal.own(self.shards, answers);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::Owned(owned.await));
        });
    }

    /// The shards are owned, or the store did not give them.
    pub(super) fn owned(&mut self, owned: Result<Vec<Owned>, StoreError>) {
        match owned {
            Ok(owned) => {
                self.ownership.owned = owned.into_iter().map(|owned| (owned.shard, owned)).collect();
                if self.takes_over {
                    self.ask_for_open_roots(None);
                    self.look_ahead();
                } else {
                    self.ownership.list_is_complete();
                }
                for command in std::mem::take(&mut self.early) {
                    self.contain(command);
                }
            }
            Err(_) => drop(self.timers.arm(&*self.ports.clock, AGAIN, Timer::Own)),
        }
    }

    /// Whether the shards are owned.
    pub(super) fn is_owner(&self) -> bool {
        !self.ownership.owned.is_empty()
    }

    fn ask_for_open_roots(&mut self, after: Option<RunId>) {
        let roots = self.ports.journal.open_roots(self.shards, after, PAGE);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::OpenRoots(after, roots.await));
        });
    }

    /// Trees that an earlier owner left open. Those that only wait for a due time are not loaded.
    pub(super) fn open_roots(&mut self, after: Option<RunId>, roots: Result<Vec<OpenRoot>, StoreError>) {
        match roots {
            Ok(roots) => {
                self.ownership.next_page = roots.last().filter(|_| roots.len() == PAGE).map(|last| last.root);
                if self.ownership.next_page.is_none() {
                    self.ownership.list_is_complete();
                }
                self.ownership.unread.extend(roots.into_iter().filter(|open| !open.idle).map(|open| open.root));
                self.read_open();
            }
            Err(_) => drop(self.timers.arm(&*self.ports.clock, AGAIN, Timer::Recover(after))),
        }
    }

    /// A tree was read. If it was one of those that an earlier owner left open, the next of them is.
    pub(super) fn open_read(&mut self, root: RunId) {
        if self.ownership.being_read.remove(&root) {
            self.read_open();
        }
    }

    fn read_open(&mut self) {
        while self.ownership.being_read.len() < AT_ONCE {
            let Some(root) = self.ownership.unread.pop_front() else {
                // The last trees of this page are read meanwhile.
                if let Some(last) = self.ownership.next_page.take() {
                    self.ask_for_open_roots(Some(last));
                }
                return;
            };
            if !self.trees.contains_key(&root) && self.tree(root).is_some() {
                self.ownership.being_read.insert(root);
            }
        }
    }

    /// Asks again for trees that an earlier owner left open.
    pub(super) fn recover(&mut self, after: Option<RunId>) {
        self.ask_for_open_roots(after);
    }

    /// Takes over a tree whose last event is an earlier owner's.
    pub(super) fn own_tree(&mut self, root: RunId) {
        let Some(tree) = self.trees.get(&root) else { return };
        let started = Some(tree.marked.iter().copied().collect());
        let (epoch, clean) = (self.ownership.epoch(root), self.ownership.is_clean(root));
        self.feed(root, Input::OwnerChanged(OwnerChanged { epoch, clean, started }));
    }

    /// Asks the store for the due times that come soon.
    pub(super) fn look_ahead(&mut self) {
        let upto = after(self.ports.clock.now(), HORIZON);
        self.ownership.horizon = Some(upto);
        self.ask_for_due(upto, None);
        self.look_again(HORIZON / 2);
    }

    fn look_again(&mut self, wait: Duration) {
        let next = self.timers.arm(&*self.ports.clock, wait, Timer::Horizon);
        if let Some(before) = self.ownership.looks_at.replace(next) {
            self.timers.disarm(before);
        }
    }

    fn ask_for_due(&mut self, upto: Timestamp, after: Option<(Timestamp, RunId)>) {
        let due = self.ports.journal.due(self.shards, upto, after, PAGE);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            let _ = commands.send(Command::Due(upto, due.await));
        });
    }

    /// Due times that come soon. A tree in memory has its own timers.
    pub(super) fn due(&mut self, upto: Timestamp, due: Result<Vec<(Timestamp, RunId)>, StoreError>) {
        // Something may be due at once.
        let Ok(due) = due else { return self.look_again(AGAIN) };
        if due.len() == PAGE {
            self.ask_for_due(upto, due.last().copied());
        }
        for (at, root) in due {
            if !self.trees.contains_key(&root) {
                self.load_at(root, at);
            }
        }
    }

    fn load_at(&mut self, root: RunId, at: Timestamp) {
        let wait = until(at, self.ports.clock.now()).saturating_sub(AHEAD);
        self.timers.arm(&*self.ports.clock, wait, Timer::Load(root));
    }

    /// The tree was idle for a while. If it is still idle, it may leave memory when others need the room.
    pub(super) fn park(&mut self, root: RunId, touched: u64) {
        let Some(tree) = self.trees.get_mut(&root) else { return };
        if tree.touched != touched || !tree.is_idle() || tree.parked.is_some() {
            return;
        }
        // It would be read again at once. After its time it is looked at anew.
        let soon = after(self.ports.clock.now(), AHEAD);
        if tree.next_due().is_some_and(|at| at <= soon) {
            return;
        }
        let (length, size) = (tree.durable, tree.size());
        tree.parked = Some((length, size));
        self.ownership.idle.insert((length, root));
        self.ownership.idle_bytes += size;
        while self.ownership.idle_bytes > self.idle_bytes
            && let Some((_, root)) = self.ownership.idle.pop_first()
        {
            self.unload(root);
        }
    }

    /// The tree is not idle any more.
    pub(super) fn unpark(&mut self, root: RunId) {
        if let Some((length, size)) = self.trees.get_mut(&root).and_then(|tree| tree.parked.take()) {
            self.ownership.idle.remove(&(length, root));
            self.ownership.idle_bytes -= size;
        }
    }

    /// Removes the tree from memory. It is loaded again when it gets an input, at the latest at its next due time.
    fn unload(&mut self, root: RunId) {
        let Some(tree) = self.trees.remove(&root) else { return };
        if let Some((_, size)) = tree.parked {
            self.ownership.idle_bytes -= size;
        }
        let next = tree.next_due();
        for timer in tree.timers.into_values() {
            self.timers.disarm(timer);
        }
        let Some(machine) = tree.machine else { return };
        for run in machine.state().runs.keys() {
            self.roots.remove(run);
        }
        if let Some(at) = next.filter(|at| self.ownership.horizon.is_some_and(|horizon| *at <= horizon)) {
            self.load_at(root, at);
        }
    }

    /// Replies to those that wait until no host has an attempt, if that is so.
    pub(super) fn tell_drained(&mut self) {
        if self.offered.is_empty() {
            for done in self.drained.drain(..) {
                let _ = done.send(());
            }
        }
    }

    /// Stops deciding, and hands the shards over once everything that was decided is stored.
    pub(super) fn shut_down(&mut self, done: oneshot::Sender<()>) {
        self.stopping = Some(done);
        self.note_all_given_up();
        self.stop_when_stored();
    }

    /// Hands the shards over if the engine is to stop and no append is open.
    pub(super) fn stop_when_stored(&mut self) {
        if self.stopping.is_none() || self.leaving || self.is_storing() {
            return;
        }
        self.leaving = true;
        let left = self.ports.journal.leave(self.shards);
        let commands = self.commands.clone();
        self.tasks.spawn(async move {
            // Where it cannot be said, the next owner takes this end for a crash.
            let _ = left.await;
            let _ = commands.send(Command::Left);
        });
    }

    /// Whether something is on its way to the store.
    fn is_storing(&self) -> bool {
        self.given_up.is_asking() || self.trees.values().any(|tree| !tree.undurable.is_empty())
    }

    /// The shards are handed over.
    pub(super) fn left(&mut self) {
        self.stopped = true;
    }
}
