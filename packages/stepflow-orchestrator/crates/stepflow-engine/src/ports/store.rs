//! What the engine asks of a store: journals, and contents by their ids.
//!
//! A store never folds. An append contains what it means for the rows, timers and marks of the store.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, BlobType, FlowId, RunId, Value};

use crate::event::{Record, TaskRef, ValueRef};
use crate::shard::Shards;

/// Why a store could not do what was requested.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// It does not exist.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The store cannot write or read now.
    #[error("the store is not available: {0}")]
    Unavailable(Outage),
    /// What is stored cannot be read. To ask again does not help.
    #[error("what is stored is damaged: {0}")]
    Damaged(String),
    /// Another engine owns the tree.
    #[error("another server owns the run: epoch {theirs} follows {ours}")]
    Fenced {
        /// The epoch of the append.
        ours: u64,
        /// The epoch that owns the tree now.
        theirs: u64,
    },
    /// The append does not follow the last stored event.
    #[error("the journal ends with sequence {last}, not with {after}")]
    Conflict {
        /// The sequence that the append was to follow.
        after: u64,
        /// The last one that is stored.
        last: u64,
    },
}

/// Why a store cannot read or write now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({detail})")]
pub struct Outage {
    /// What every caller may know, such as `the disk is full`.
    pub reason: &'static str,
    /// What only the owner of the server may know: the file, and what the system says.
    pub detail: String,
}

impl StoreError {
    /// The store cannot read or write now.
    pub fn unavailable(reason: &'static str, detail: impl Into<String>) -> Self {
        Self::Unavailable(Outage { reason, detail: detail.into() })
    }
}

/// A run tree as it enters the store, in one transaction with its first events.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The flow, with the run's overrides.
    pub plan: Arc<Plan>,
    /// The caller's name for the request: a second one with this name gets the run of the first one.
    pub idempotency_key: Option<String>,
    /// The inputs of the root's items, if they are stored already: see [`Journal::stage`].
    pub stage: Option<StagedInputs>,
    /// The first events, with everything that belongs to them, including the inputs of the root's items if they are not
    /// staged.
    pub append: Append,
}

/// Inputs of a run that is not made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedInputs {
    /// Its number in the store.
    pub number: i64,
    /// How many inputs it has.
    pub items: u32,
}

/// The result of storing a [`NewRun`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is stored.
    New,
    /// Nothing was stored: this run was made under the same idempotency key before.
    Existing(RunId),
}

/// What became of a tree that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Gone,
    /// Nothing was deleted: it has not ended.
    Open,
}

/// Events that follow those of a tree that are stored, with all that belongs to them: one transaction, or nothing.
#[derive(Debug, Clone)]
pub struct Append {
    /// The root of the tree.
    pub root: RunId,
    /// The owner's number.
    pub epoch: u64,
    /// The incarnation of the tree in memory that has decided this. The answer contains it.
    pub incarnation: u64,
    /// The sequence that the first record follows.
    pub after: u64,
    /// The events.
    pub records: Vec<Arc<Record>>,
    /// The flows of the sub-runs that these records create.
    pub flows: Vec<Arc<Plan>>,
    /// The inputs of the items of these sub-runs.
    pub inputs: Vec<(RunId, Vec<Value>)>,
    /// Times at which the tree has to be looked at again.
    pub owes: Vec<Due>,
    /// The sequences of earlier such times that are over.
    pub settles: Vec<u64>,
    /// Attempts whose marks are to be removed, see [`Journal::mark`].
    pub unmarks: Vec<TaskRef>,
    /// Whether only a due time, an answer or a request can change the tree from now on.
    pub idle: bool,
}

impl Append {
    /// The sequence of the last record.
    #[must_use]
    pub fn upto(&self) -> u64 {
        self.after + self.records.len() as u64
    }
}

/// A time at which a tree has to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// The time.
    pub at: Timestamp,
    /// The sequence of the event that decided it.
    pub seq: u64,
}

/// Whether an append is durable when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is.
    Now,
    /// The answer comes to the [`Commits`] of the tree's shard.
    Later,
}

/// The part of a journal that an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendRef {
    /// The root of the tree.
    pub root: RunId,
    /// The append's incarnation.
    pub incarnation: u64,
    /// The last sequence of the append.
    pub upto: u64,
}

/// The receiver for the results of appends: a message for each commit, not one for each append.
pub trait Commits: Send + Sync {
    /// These appends are durable, and all before them.
    fn committed(&self, appends: Vec<AppendRef>);

    /// These are not durable, and no later append of the same incarnation will be.
    fn failed(&self, appends: Vec<AppendRef>, why: StoreError);
}

/// A shard, now owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The shard.
    pub shard: u8,
    /// The owner's number: greater than every one before.
    pub epoch: u64,
    /// Whether the last owner left in good order.
    pub clean: bool,
}

/// A tree that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRoot {
    /// Its root.
    pub root: RunId,
    /// Whether only a due time, an answer or a request can change it.
    pub idle: bool,
}

/// A part of a journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// The events; none at the journal's end.
    pub records: Vec<Arc<Record>>,
    /// Whether the journal ends with them.
    pub is_last: bool,
    /// The owner that appended the last of them.
    pub epoch: u64,
    /// The attempts of the tree that are marked, see [`Journal::mark`].
    pub marked: Vec<TaskRef>,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// The root of its tree.
    pub root: RunId,
    /// Whether the run has ended.
    pub ended: bool,
    /// Why its tree cannot continue, see [`Journal::give_up`].
    pub given_up: Option<String>,
}

/// Keeps journals. Every future may be dropped: then the request is carried out, or is not.
pub trait Journal: Send + Sync {
    /// Takes these shards. From now on the results of appends to their trees are sent to `commits`.
    fn own(&self, shards: Shards, commits: Arc<dyn Commits>) -> BoxFuture<'static, Result<Vec<Owned>, StoreError>>;

    /// Hands these shards over in good order: everything that their owner has begun is stored. The marks of its
    /// attempts are removed: if the next owner dies before it has read a tree, they are not the reason.
    fn leave(&self, shards: Shards) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The trees of these shards that have not ended, at most so many, by their ids, after this one.
    fn open_roots(
        &self,
        shards: Shards,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<OpenRoot>, StoreError>>;

    /// Records that a worker has these attempts of a tree: if the server crashes, they may be the reason.
    fn mark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Records that these attempts are not running now: they wait for a worker or for a run. It comes after earlier
    /// marks.
    fn unmark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>>;

    /// The trees of these shards with a time that comes before `upto`, each with its first one, at most so many, the
    /// soonest first, after this one.
    fn due(
        &self,
        shards: Shards,
        upto: Timestamp,
        after: Option<(Timestamp, RunId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<(Timestamp, RunId)>, StoreError>>;

    /// Stores inputs of a run before the run, behind those of this stage. A batch that is too long for memory or for one
    /// transaction comes in parts. Nobody sees them until [`Journal::create`] names the stage. A stage that no run is
    /// made of is removed after an hour, and when the store is opened again.
    fn stage(
        &self,
        after: Option<StagedInputs>,
        inputs: Vec<Value>,
    ) -> BoxFuture<'static, Result<StagedInputs, StoreError>>;

    /// Begins a tree. Appends may follow before the answer arrives.
    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<Created, StoreError>>;

    /// Adds events to a tree's journal. Several appends of one tree may be open. They keep their order, and when one is
    /// refused, those that follow it are refused, too.
    fn append(&self, append: Append) -> Appended;

    /// The events after `after_seq`, in order, until they have `max_bytes` or more. Appends that were made before are
    /// included. Instead of a value an event may have a reference to itself, [`ValueRef::Row`] with its own sequence.
    /// Then [`Journal::values`] finds the value there. Folding needs no values.
    fn read(&self, root: RunId, after_seq: u64, max_bytes: usize) -> BoxFuture<'static, Result<Page, StoreError>>;

    /// The values in these places; `None` for a place without a value.
    fn values(&self, root: RunId, places: Vec<ValueRef>) -> BoxFuture<'static, Result<Vec<Option<Value>>, StoreError>>;

    /// The flow of this id: the flow of a run, or one that was stored.
    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>>;

    /// Where a run is; `None` if it does not exist.
    fn find(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunState>, StoreError>>;

    /// Deletes a tree that has ended, or that cannot go on. It is out of sight at once, and nothing is appended to it any
    /// more.
    fn delete(&self, root: RunId) -> BoxFuture<'static, Result<Deleted, StoreError>>;

    /// Takes note that a tree cannot go on: its journal or its flow cannot be read. Its times are over, and it is not
    /// open any more.
    fn give_up(&self, root: RunId, epoch: u64, why: String) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// A content with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Blob {
    /// The content.
    pub data: Value,
    /// What it is.
    pub blob_type: BlobType,
}

/// Keeps content under the SHA-256 of its bytes.
pub trait Blobs: Send + Sync {
    /// Keeps the content. If it is kept already, nothing changes.
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>>;

    /// The content of this id.
    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>>;
}
