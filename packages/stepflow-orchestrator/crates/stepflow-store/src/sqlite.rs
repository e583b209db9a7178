//! Everything in one file of SQLite. One thread writes, in transactions that all who wait share; a few read.

mod codec;
mod disk;
mod file;
mod gauge;
mod plans;
mod projection;
mod queries;
mod readers;
mod reading;
mod steps;
mod tree;
mod work;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepflow_engine::event::{TaskRef, ValueRef};
use stepflow_engine::ports::{
    self, Append, Blob, Blobs, Commits, Created, Journal, NewRun, OpenRoot, Owned, Page, Standing, StoreError, Written,
};
use stepflow_engine::{Shards, shard_of};
use stepflow_flow::Plan;
use stepflow_protocol::{BlobId, FlowId, RunId, content_id};
use tokio::sync::oneshot;

pub use gauge::Gauge;

use self::disk::Disk;
use self::gauge::Gauges;
use self::plans::Plans;
use self::readers::Readers;
use self::writer::{Message, Owners, Reply, Writer};

/// The store's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// The database's file. It and its folder are made when they do not exist.
    pub path: PathBuf,
    /// What survives when the machine loses power.
    #[serde(default)]
    pub durability: Durability,
    /// How many connections read at once.
    #[serde(default = "default_readers")]
    pub readers: usize,
    /// Whether the tables of an older release are changed to the current ones.
    #[serde(default = "default_migrate")]
    pub migrate: bool,
}

fn default_readers() -> usize {
    2
}

fn default_migrate() -> bool {
    true
}

impl Options {
    /// The usual settings for this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            readers: default_readers(),
            migrate: default_migrate(),
        }
    }
}

/// What survives when the machine loses power. When only the server ends, everything does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// All that was acknowledged.
    #[default]
    Full,
    /// The last moments may be lost, all of them from some point on.
    Relaxed,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("`{path}` is in use by {holder}: stop that server, or give this one another path")]
    Held {
        /// The database.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// A later release has written it.
    #[error(
        "`{path}` was written by a newer release (schema {found}, this one knows {known}): install that release, or \
         restore the copy that it made beside the file"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The newest one that this release knows.
        known: usize,
    },
    /// An earlier release has written it, and its tables must not be changed.
    #[error(
        "`{path}` was written by an older release (schema {found}, this one writes {known}), and `autoMigrate` is off: \
         allow it once, or install that release"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The one that this release writes.
        known: usize,
    },
    /// Another program has made it.
    #[error("`{path}` is a database of another program or of an older Stepflow: give this server another path")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The file is no whole database.
    #[error("`{path}` is damaged ({reason}): restore a backup, or move the file away to begin anew")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The file cannot be made, read or written.
    #[error("cannot open `{path}`: {reason}")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::CannotOpen { path: path.to_owned(), reason: error.to_string() }
    }

    fn of(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged { path: path.to_owned(), reason: error.to_string() },
            _ => Self::cannot_open(path, error),
        }
    }
}

/// A store in a file. Dropping it stores what it was given, and waits for that.
pub struct SqliteStore {
    queue: mpsc::Sender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
    plans: Arc<Plans>,
    owners: Owners,
    gauges: Arc<Gauges>,
}

impl SqliteStore {
    /// Opens the database, or makes it.
    ///
    /// # Errors
    ///
    /// When another process has it, a newer release has written it, or it cannot be read.
    pub fn open(options: &Options) -> Result<Arc<Self>, Error> {
        let path = &options.path;
        let failed = |error: rusqlite::Error| Error::of(path, &error);
        let lock = file::lock(path)?;
        let connection = file::open(path, options.durability).map_err(failed)?;
        file::migrate(&connection, path, options.migrate)?;
        let epochs = epochs(&connection).map_err(failed)?;
        let (owners, gauges) = (Owners::default(), Arc::new(Gauges::default()));
        let (queue, messages) = mpsc::channel();
        let readers = Readers::start(path, options.readers).map_err(|error| Error::cannot_open(path, &error))?;
        let writer = Writer {
            queue: messages,
            disk: Disk::new(path.clone(), options.durability, connection),
            owners: Arc::clone(&owners),
            gauges: Arc::clone(&gauges),
            epochs,
            refused: HashMap::new(),
            lock,
        };
        let writer = thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || writer.run());
        let writer = Mutex::new(Some(writer.map_err(|error| Error::cannot_open(path, &error))?));
        Ok(Arc::new(Self { queue, writer, readers, plans: Plans::new(), owners, gauges }))
    }

    /// What was written since the store was opened.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauges.read()
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

    /// Asks the writer, at once: the answer may be waited for or not.
    fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<T>) -> Message,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        // Without a writer the answer's other end is gone, and says so.
        let _ = self.queue.send(message(reply));
        async move { answer.await.unwrap_or_else(|_| Err(stopped())) }.boxed()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        drop(self.close());
        if let Some(writer) = self.writer.lock().take() {
            join(writer);
        }
    }
}

/// Waits for a thread's end, unless it is the one that asks: the last owner of a store may be what an answer went to.
fn join(thread: JoinHandle<()>) {
    if thread.thread().id() != thread::current().id() {
        let _ = thread.join();
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped".to_owned())
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
        self.readers.ask(move |connection| reading::open_roots(connection, shards, after, most))
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
        self.readers.ask(move |connection| reading::due(connection, shards, upto, after, most))
    }

    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<Created, StoreError>> {
        self.ask(|reply| Message::Create(Box::new(run), reply))
    }

    fn append(&self, append: Append) -> ports::Durability {
        let written = Written { root: append.root, incarnation: append.incarnation, upto: append.upto() };
        if self.queue.send(Message::Append(append)).is_err() {
            let owner = self.owners.lock().get(&shard_of(written.root)).cloned();
            if let Some(owner) = owner {
                owner.failed(vec![written], stopped());
            }
        }
        ports::Durability::Later
    }

    fn read(&self, root: RunId, after_seq: u64, max_bytes: usize) -> BoxFuture<'static, Result<Page, StoreError>> {
        let behind = self.ask(Message::Barrier);
        let readers = Arc::clone(&self.readers);
        async move {
            behind.await?;
            readers.ask(move |connection| reading::page(connection, root, after_seq, max_bytes)).await
        }
        .boxed()
    }

    fn values(
        &self,
        root: RunId,
        places: Vec<ValueRef>,
    ) -> BoxFuture<'static, Result<Vec<Option<stepflow_protocol::Value>>, StoreError>> {
        self.readers.ask(move |connection| reading::values(connection, root, places))
    }

    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        let plans = Arc::clone(&self.plans);
        self.readers.ask(move |connection| Ok(plans.get(connection, id, None)?))
    }

    fn find(&self, run: RunId) -> BoxFuture<'static, Result<Option<Standing>, StoreError>> {
        self.readers.ask(move |connection| reading::find(connection, run))
    }

    fn give_up(&self, root: RunId, epoch: u64, why: String) -> BoxFuture<'static, Result<(), StoreError>> {
        self.ask(|reply| Message::GiveUp(root, epoch, why, reply))
    }
}

impl Blobs for SqliteStore {
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>> {
        let blob = Blob { data: blob.data.canonical(), ..blob };
        let id = content_id(blob.data.as_bytes());
        let put = self.ask(|reply| Message::PutBlob(id, blob, reply));
        async move { put.await.map(|()| id) }.boxed()
    }

    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>> {
        self.readers.ask(move |connection| reading::blob(connection, id))
    }
}
