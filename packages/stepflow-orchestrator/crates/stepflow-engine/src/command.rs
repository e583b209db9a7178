//! The commands for drivers, and the queues in which they wait.

use std::sync::Arc;

use jiff::Timestamp;
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowId, RunId, Value};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::event::{CancelAsked, Instance, TaskRef, ValueRef};
use crate::machine::Input;
use crate::notice::Notice;
use crate::ports::{Address, Answer, AppendRef, Commits, Created, Inbox, OpenRoot, Owned, RunState, StoreError};
use crate::reading::Read;
use crate::shard::shard_of;
use crate::submission::{CancelError, Error, Origin, Parent, Submission};

/// Where a run's id goes once the run is durable.
pub(crate) type Made = oneshot::Sender<Result<RunId, Error>>;

/// The reply to a request to cancel a run.
pub(crate) type Cancelled = oneshot::Sender<Result<(), CancelError>>;

/// An attempt that waits for a run, with the root of its own tree.
pub(crate) type WaitingAttempt = (RunId, TaskRef);

/// A command for a driver.
pub(crate) enum Command {
    /// From a client, with its place in the queue.
    Submit(Box<Submission>, Made, Option<OwnedSemaphorePermit>),
    /// With data that distinguishes the runs that one attempt asks for.
    SubmitFrom(Origin, Box<Submission>, BlobId, Made),
    /// Reply when the run has ended; this attempt waits for it.
    Wait(RunId, Option<WaitingAttempt>, oneshot::Sender<()>),
    /// The attempt waits for one more run: it holds no slot.
    Blocked(Address),
    /// A run that the attempt waited for has ended. Reply when it has a slot to go on.
    Unblocked(WaitingAttempt, oneshot::Sender<()>),
    Cancel(RunId, CancelAsked, Cancelled),
    /// Reply once the subscriber will get all events that become durable.
    Subscribe(RunId, mpsc::Sender<Notice>, oneshot::Sender<()>),
    Starting(Address, u64),
    Started(Address, Option<Arc<Instance>>),
    Waits(Address),
    Answer(Address, Answer),
    TimedOut(RunId, TaskRef),
    /// The input of a timer.
    Tell(RunId, Input),
    /// It is known where the component of this path is.
    Decided(RunId, String),
    Created(AppendRef, Result<Created, StoreError>),
    Committed(Vec<AppendRef>),
    Failed(Vec<AppendRef>, StoreError),
    /// Whether the store has taken the mark that a host has asked for with this number.
    Marked(RunId, TaskRef, u64, bool),
    Read(RunId, u64, Result<Box<Read>, StoreError>),
    Values(RunId, u64, Vec<ValueRef>, Result<Vec<Option<Value>>, StoreError>),
    Flow(RunId, u64, FlowId, Result<Option<Arc<Plan>>, StoreError>),
    /// The place of the run that was looked for.
    Found(RunId, Result<Option<RunState>, StoreError>, Box<Command>),
    Owned(Result<Vec<Owned>, StoreError>),
    OpenRoots(Option<RunId>, Result<Vec<OpenRoot>, StoreError>),
    Due(Timestamp, Result<Vec<(Timestamp, RunId)>, StoreError>),
    /// The store has taken note that the tree was given up, or could not.
    GivenUp(RunId, Result<(), StoreError>),
    Left,
    /// Offer nothing any more. Reply when no host has an attempt.
    Drain(oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

/// Tells the results of appends.
pub(crate) struct Answers(pub mpsc::UnboundedSender<Command>);

impl Commits for Answers {
    fn committed(&self, appends: Vec<AppendRef>) {
        let _ = self.0.send(Command::Committed(appends));
    }

    fn failed(&self, appends: Vec<AppendRef>, why: StoreError) {
        let _ = self.0.send(Command::Failed(appends, why));
    }
}

impl Command {
    /// Whether it has a result of the store: an engine that is stopping needs no other command.
    pub fn is_of_the_store(&self) -> bool {
        matches!(
            self,
            Self::Committed(_)
                | Self::Failed(..)
                | Self::Created(..)
                | Self::GivenUp(..)
                | Self::Left
                | Self::Shutdown(_)
        )
    }

    /// The run whose machine, or whose root's machine, it needs.
    pub fn root(&self) -> Option<RunId> {
        match self {
            Self::SubmitFrom(origin, ..) => Some(match origin.parent {
                Parent::Attempt(address) => address.root,
                Parent::Run(run) => run,
            }),
            Self::Cancel(run, ..) => Some(*run),
            Self::Blocked(address)
            | Self::Starting(address, _)
            | Self::Started(address, _)
            | Self::Waits(address)
            | Self::Answer(address, _) => Some(address.root),
            Self::Unblocked((root, _), _) | Self::TimedOut(root, _) | Self::Tell(root, _) | Self::Decided(root, _) => {
                Some(*root)
            }
            Self::Submit(..)
            | Self::Wait(..)
            | Self::Subscribe(..)
            | Self::Created(..)
            | Self::Committed(_)
            | Self::Failed(..)
            | Self::Marked(..)
            | Self::Read(..)
            | Self::Values(..)
            | Self::Flow(..)
            | Self::Found(..)
            | Self::Owned(_)
            | Self::OpenRoots(..)
            | Self::Due(..)
            | Self::GivenUp(..)
            | Self::Left
            | Self::Drain(_)
            | Self::Shutdown(_) => None,
        }
    }
}

/// A queue of commands for each driver.
#[derive(Clone)]
pub(crate) struct Doors(pub Arc<[mpsc::UnboundedSender<Command>]>);

impl Doors {
    /// The queue of the driver that owns the run's tree.
    pub fn of(&self, run: RunId) -> &mpsc::UnboundedSender<Command> {
        // As many as fit into a byte, at least one.
        &self.0[usize::from(shard_of(run)) % self.0.len()]
    }

    /// Sends this to the driver of the run's tree. An engine that has stopped does not receive it.
    pub fn say(&self, run: RunId, command: Command) {
        let _ = self.of(run).send(command);
    }
}

impl Inbox for Doors {
    fn starting(&self, task: Address, hold: u64) {
        self.say(task.root, Command::Starting(task, hold));
    }

    fn started(&self, task: Address, instance: Option<&Arc<Instance>>) {
        self.say(task.root, Command::Started(task, instance.cloned()));
    }

    fn waits(&self, task: Address) {
        self.say(task.root, Command::Waits(task));
    }

    fn answer(&self, task: Address, answer: Answer) {
        self.say(task.root, Command::Answer(task, answer));
    }
}
