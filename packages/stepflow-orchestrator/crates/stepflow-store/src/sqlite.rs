//! Everything in one file of SQLite. One thread writes, and combines all waiting requests into one transaction. A few
//! threads read.

mod at_work;
mod backup;
mod batch;
mod check;
mod chores;
mod codec;
mod contents;
mod crash;
mod deleting;
mod disk;
mod file;
mod file_mark;
mod files;
mod gauge;
mod lock;
mod message;
mod options;
mod outage;
mod plans;
mod projection;
mod queries;
mod readers;
mod reading;
mod restore;
mod stages;
mod steps;
mod swept;
mod tree;
mod vacuum;
mod work;
mod writer;

use std::collections::HashMap;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use stepflow_engine::event::{TaskRef, ValueRef};
use stepflow_engine::ports::{
    self, Append, AppendRef, Blob, Blobs, Commits, Created, Deleted, Journal, NewRun, OpenRoot, Outage, Owned, Page,
    RunState, StagedInputs, StoreError,
};
use stepflow_engine::{Shards, shard_of};
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowId, RunId, Value, content_id};
use tokio::sync::oneshot;

pub use backup::backup;
pub use check::{Finding, check};
pub use gauge::Gauge;
pub use options::{Durability, Error, Options, Retention};
pub use restore::restore;
pub use swept::Swept;
pub use vacuum::{Vacuumed, vacuum};

use self::at_work::AtWork;
use self::chores::Chores;
use self::contents::BlobRow;
use self::crash::Crash;
use self::disk::Disk;
use self::files::{Files, Placed};
use self::gauge::Gauges;
use self::lock::Lock;
use self::message::{Message, Reply};
use self::readers::Readers;
use self::writer::{Owners, Writer};

/// A store in a file. Dropping it stores what it was given, and waits for that.
pub struct SqliteStore {
    queue: mpsc::Sender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    files: Arc<Files>,
    owners: Owners,
    gauges: Arc<Gauges>,
    at_work: Arc<AtWork>,
}

impl SqliteStore {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    ///
    /// When another process uses it, a later release has written it, or it cannot be read.
    pub fn open(options: &Options) -> Result<Arc<Self>, Error> {
        let options = &lock::followed(options)?;
        let path = &options.path;
        let failed = |error: rusqlite::Error| Error::of(path, &error);
        let crash = Crash::from_environment(path)?;
        file::refuse_remains(options)?;
        lock::refuse_blobs(path, &options.blobs())?;
        let lock = Lock::take(path)?;
        file_mark::begun(path)?;
        let connection = file::open(path, options.durability).map_err(failed)?;
        file::migrate(&connection, path, options.migrate)?;
        stages::forget(&connection).map_err(failed)?;
        let epochs = epochs(&connection).map_err(failed)?;
        let (owners, gauges) = (Owners::default(), Arc::new(Gauges::default()));
        let (queue, messages) = mpsc::channel();
        let folder = options.blobs().join(file::id(&connection, path)?);
        let files = Arc::new(Files::new(folder, options.inline_below));
        let at_work = Arc::new(AtWork::default());
        let readers = Readers::start(path, options.readers, Arc::clone(&files), Arc::clone(&at_work))
            .map_err(|error| Error::cannot_open(path, &error))?;
        let writer = Writer {
            queue: messages,
            chores: Chores::new(options.retention),
            crash,
            disk: Disk::new(path.clone(), options.durability, connection, lock),
            owners: Arc::clone(&owners),
            files: Arc::clone(&files),
            gauges: Arc::clone(&gauges),
            at_work: Arc::clone(&at_work),
            epochs,
            refused: HashMap::new(),
        };
        let writer = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || writer.run());
        let writer = Mutex::new(Some(writer.map_err(|error| Error::cannot_open(path, &error))?));
        Ok(Arc::new(Self { queue, writer, readers, files, owners, gauges, at_work }))
    }

    /// What was written since the store was opened.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        Gauge { oldest_read: self.at_work.oldest(), ..self.gauges.read() }
    }

    /// Why nothing can be stored now. Once a second it is tried again.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.gauges.down()
    }

    /// Tidies up now: takes away what nothing needs any more, and says what it was. It happens by itself from time to time.
    pub fn sweep(&self) -> BoxFuture<'static, Result<Swept, StoreError>> {
        self.ask(Message::Sweep)
    }

    /// Stores what it was given before, cuts the WAL and lets the database go: when this ends, another process may have
    /// it. Whoever asks for anything from now on hears that the store has stopped.
    pub fn close(&self) -> BoxFuture<'static, ()> {
        let (reply, closed) = oneshot::channel();
        let _ = self.queue.send(Message::Stop(self.stop_readers(), reply));
        // Of a store that was closed before, the other end is gone.
        async move { drop(closed.await) }.boxed()
    }

    /// The readers, of which the writer waits for the end. One that runs this itself ends on its own.
    fn stop_readers(&self) -> Vec<JoinHandle<()>> {
        let readers = self.readers.stop().into_iter();
        readers.filter(|reader| reader.thread().id() != thread::current().id()).collect()
    }

    /// Sends a request to the writer at once. The caller may wait for the answer or not.
    fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        ask(&self.queue, message)
    }
}

fn ask<T: Send + 'static>(
    queue: &mpsc::Sender<Message>,
    message: impl FnOnce(Reply<T>) -> Message,
) -> BoxFuture<'static, Result<T, StoreError>> {
    let (reply, answer) = oneshot::channel();
    // Without a writer the answer's other end is gone, and says so.
    let _ = queue.send(message(reply));
    async move { answer.await.unwrap_or_else(|_| Err(stopped())) }.boxed()
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.close());
        if let Some(writer) = self.writer.lock().take() {
            join(writer);
        }
    }
}

/// Waits for the end of a thread, unless it is the current one: an answer may have been sent to the last owner of a
/// store.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        let _ = thread.join();
    }
}

fn stopped() -> StoreError {
    StoreError::unavailable("it is closed", "the store has stopped")
}

fn epochs(connection: &rusqlite::Connection) -> rusqlite::Result<HashMap<u8, u64>> {
    let mut epochs = connection.prepare("SELECT shard, epoch FROM shards")?;
    let epochs = epochs.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
    epochs.collect()
}

impl Journal for SqliteStore {
    fn own(&self, shards: Shards, commits: Arc<dyn Commits>) -> BoxFuture<'static, Result<Vec<Owned>, StoreError>> {
        self.ask(|reply| Message::Own(shards, commits, reply))
    }

    fn leave(&self, shards: Shards) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::Leave(shards, reply))
    }

    fn open_roots(
        &self,
        shards: Shards,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<OpenRoot>, StoreError>> {
        self.readers.ask(move |access| reading::open_roots(access, shards, after, most))
    }

    fn mark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::Mark(root, epoch, tasks, reply))
    }

    fn unmark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::Unmark(root, epoch, tasks, reply))
    }

    fn due(
        &self,
        shards: Shards,
        upto: Timestamp,
        after: Option<(Timestamp, RunId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<(Timestamp, RunId)>, StoreError>> {
        self.readers.ask(move |access| reading::due(access, shards, upto, after, most))
    }

    fn stage(
        &self,
        after: Option<StagedInputs>,
        inputs: Vec<Value>,
    ) -> BoxFuture<'static, Result<StagedInputs, StoreError>> {
        let queue = self.queue.clone();
        async move {
            let mut stage = after;
            for part in stages::parts(inputs) {
                stage = Some(ask(&queue, |reply| Message::Stage(stage, part, reply)).await?);
            }
            match stage {
                Some(stage) => Ok(stage),
                None => ask(&queue, |reply| Message::Stage(None, Vec::new(), reply)).await,
            }
        }
        .boxed()
    }

    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<Created, StoreError>> {
        self.ask(|reply| Message::Create(Box::new(run), reply))
    }

    fn append(&self, append: Append) -> ports::Appended {
        let written = AppendRef { root: append.root, incarnation: append.incarnation, upto: append.upto() };
        if self.queue.send(Message::Append(append)).is_err() {
            let owner = self.owners.lock().get(&shard_of(written.root)).cloned();
            if let Some(owner) = owner {
                owner.failed(vec![written], stopped());
            }
        }
        ports::Appended::Later
    }

    fn read(&self, root: RunId, after_seq: u64, max_bytes: usize) -> BoxFuture<'static, Result<Page, StoreError>> {
        let behind = self.ask(Message::Barrier);
        let readers = Arc::clone(&self.readers);
        async move {
            behind.await?;
            readers.ask(move |access| reading::page(access, root, after_seq, max_bytes)).await
        }
        .boxed()
    }

    fn values(&self, root: RunId, places: Vec<ValueRef>) -> BoxFuture<'static, Result<Vec<Option<Value>>, StoreError>> {
        self.readers.ask(move |access| reading::values(access, root, places))
    }

    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        self.readers.ask(move |access| Ok(access.plans.get(access.connection, id, None)?))
    }

    fn find(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunState>, StoreError>> {
        self.readers.ask(move |access| reading::find(access, run))
    }

    fn delete(&self, root: RunId) -> BoxFuture<'static, Result<Deleted, StoreError>> {
        self.ask(|reply| Message::Delete(root, reply))
    }

    fn give_up(&self, root: RunId, epoch: u64, why: String) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::GiveUp(root, epoch, why, reply))
    }
}

impl Blobs for SqliteStore {
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>> {
        let blob = Blob { data: blob.data.canonical(), ..blob };
        let id = content_id(blob.data.as_bytes());
        let Blob { data, blob_type } = blob;
        let (size, parts) = (data.size(), codec::ids_in(data.as_str()).collect());
        let row = move |content| BlobRow { id, blob_type, size, content, parts };
        if !self.files.is_long(&data) {
            let put = self.ask(|reply| Message::PutBlob(row(Placed::Row(data)), reply));
            return async move { put.await.map(|()| id) }.boxed();
        }
        let is_there = self.ask(|reply| Message::Touch(id, reply));
        let (files, queue) = (Arc::clone(&self.files), self.queue.clone());
        async move {
            if !is_there.await? {
                let file = files.write_apart(data).await.unwrap_or_else(|_| Err(stopped()))?;
                ask(&queue, |reply| Message::PutBlob(row(Placed::File(file)), reply)).await?;
            }
            Ok(id)
        }
        .boxed()
    }

    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>> {
        self.readers.ask(move |access| reading::blob(access, id))
    }
}
