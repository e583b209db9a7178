//! What the writer is asked, and what it answers.

use std::sync::Arc;
use std::thread::JoinHandle;

use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Append, Commits, Created, Deleted, NewRun, Owned, StagedInputs, StoreError};
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, RunId, Value};
use tokio::sync::oneshot;

use super::contents::BlobRow;
use super::files::Placed;
use super::swept::Swept;

/// About how many bytes a request takes besides its values.
const ENTRY: usize = 512;

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// A request to the writer.
pub(super) enum Message {
    Append(Append),
    Stage(Option<StagedInputs>, Vec<Value>, Reply<StagedInputs>),
    Create(Box<NewRun>, Reply<Created>),
    Mark(RunId, u64, Vec<TaskRef>, Reply<()>),
    Unmark(RunId, u64, Vec<TaskRef>, Reply<()>),
    Delete(RunId, Reply<Deleted>),
    GiveUp(RunId, u64, String, Reply<()>),
    PutFlow(Arc<Plan>, Timestamp, Reply<()>),
    PutBlob(BlobRow, Reply<()>),
    /// Whether this content is there. It counts as put.
    Touch(BlobId, Reply<bool>),
    /// To be answered once all before it is done with.
    Barrier(Reply<()>),
    Own(Shards, Arc<dyn Commits>, Reply<Vec<Owned>>),
    Leave(Shards, Reply<()>),
    /// To be answered when all has been tidied up.
    Sweep(Reply<Swept>),
    /// To be done when all before it is, and these readers have ended. Says so when the database is let go.
    Stop(Vec<JoinHandle<()>>, oneshot::Sender<()>),
}

impl Message {
    pub fn size(&self) -> usize {
        let records = |append: &Append| append.records.iter().map(|record| ENTRY + record.event.size()).sum::<usize>();
        let inputs =
            |append: &Append| append.inputs.iter().flat_map(|(_, inputs)| inputs).map(Value::size).sum::<usize>();
        let values = |append: &Append| records(append) + inputs(append);
        ENTRY
            + match self {
                Self::Append(append) => values(append),
                Self::Create(new, _) => values(&new.append),
                Self::Stage(_, inputs, _) => inputs.iter().map(|input| ENTRY + input.size()).sum(),
                Self::PutBlob(BlobRow { content: Placed::Row(text), .. }, _) => text.size(),
                _ => 0,
            }
    }

    /// Whether the batch ends before it, because what follows depends on it.
    pub fn stands_alone(&self) -> bool {
        matches!(self, Self::Own(..) | Self::Leave(..) | Self::Sweep(_) | Self::Stop(..))
    }
}

/// What was done.
pub(super) enum Done {
    Stored,
    Created(Created),
    Touched(bool),
    Deleted(Deleted),
    Staged(StagedInputs),
}
