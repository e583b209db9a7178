//! The store of a server, as the rest of the server uses it. Only this module knows which store it is.

use std::sync::Arc;

use stepflow_engine::Shards;
use stepflow_engine::event::{Record, ValueRef};
use stepflow_engine::ports::{Blobs, Flows, ItemRow, Journal, Outage, Queries, StoreError};
use stepflow_protocol::{RunId, Value};
use stepflow_store::sqlite::Durability;
use stepflow_store::{MemoryStore, Options, SqliteStore, sqlite};

use crate::config::StateStore;

/// How many items are read at once.
const ITEMS: usize = 256;

/// How many open runs are counted at once.
const OPEN_RUNS: usize = 10_000;

/// About how many bytes of a journal are read at once.
const JOURNAL: usize = 1 << 20;

/// The ports of one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The journals of runs.
    pub journal: Arc<dyn Journal>,
    /// What is read of runs and flows.
    pub queries: Arc<dyn Queries>,
    /// Keeps flows.
    pub flows: Arc<dyn Flows>,
    /// Keeps contents.
    pub blobs: Arc<dyn Blobs>,
    /// What has to be closed.
    database: Option<Arc<SqliteStore>>,
    survives: Survives,
}

/// The end of the server that what it has acknowledged survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// Each, also that of the machine.
    PowerLoss,
    /// That of the process. When the machine loses power, the last moments may be lost.
    Kill,
    /// None.
    Nothing,
}

impl Store {
    /// The store of a server.
    ///
    /// # Errors
    /// When its database cannot be opened.
    pub fn open(state: &StateStore) -> Result<Self, sqlite::Error> {
        match state {
            StateStore::InMemory(options) => Ok(Self::in_memory(options.clone())),
            StateStore::Sqlite(options) => {
                let database = SqliteStore::open(options)?;
                let survives = match options.durability {
                    Durability::Full => Survives::PowerLoss,
                    Durability::Relaxed => Survives::Kill,
                };
                Ok(Self { database: Some(Arc::clone(&database)), survives, ..Self::of(database) })
            }
        }
    }

    /// A store that is lost with the process.
    #[must_use]
    pub fn in_memory(options: Options) -> Self {
        Self::of(MemoryStore::new(options))
    }

    fn of<S: Journal + Queries + Flows + Blobs + 'static>(store: Arc<S>) -> Self {
        Self {
            journal: Arc::clone(&store) as _,
            queries: Arc::clone(&store) as _,
            flows: Arc::clone(&store) as _,
            blobs: store,
            database: None,
            survives: Survives::Nothing,
        }
    }

    /// Why it can store nothing now.
    #[must_use]
    pub fn outage(&self) -> Option<Outage> {
        self.database.as_ref().and_then(|database| database.outage())
    }

    /// How many runs in it have not ended, without sub-runs.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open_runs(&self) -> Result<usize, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.journal.open_roots(Shards::ALL, after, OPEN_RUNS).await?;
            count += page.len();
            match page.last().filter(|_| page.len() == OPEN_RUNS) {
                Some(last) => after = Some(last.root),
                None => return Ok(count),
            }
        }
    }

    /// What survives of what it has.
    #[must_use]
    pub fn survives(&self) -> Survives {
        self.survives
    }

    /// Whether what it has is there after the end of the process.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.database.is_some()
    }

    /// Stores what it was given before, and lets the database go: nothing can be asked of the store afterwards.
    pub async fn close(&self) {
        if let Some(database) = &self.database {
            database.close().await;
        }
    }

    /// The value in this place of a tree.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn value(&self, root: RunId, place: ValueRef) -> Result<Option<Value>, StoreError> {
        Ok(self.journal.values(root, vec![place]).await?.pop().flatten())
    }

    /// One item of a run.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn item(&self, run: RunId, item: u32) -> Result<Option<ItemRow>, StoreError> {
        let after = item.checked_sub(1);
        Ok(self.queries.items(run, after, 1).await?.pop())
    }

    /// The items of a run, by index.
    #[must_use]
    pub fn items(&self, run: RunId) -> ItemPages {
        ItemPages { queries: Arc::clone(&self.queries), run, after: None, more: true }
    }

    /// The events of a tree so far.
    #[must_use]
    pub fn records(&self, root: RunId) -> RecordPages {
        self.records_after(root, 0)
    }

    /// The events of a tree so far that come after this sequence.
    #[must_use]
    pub fn records_after(&self, root: RunId, after: u64) -> RecordPages {
        RecordPages { journal: Arc::clone(&self.journal), root, after }
    }
}

impl Default for Store {
    /// In memory, with the usual settings.
    fn default() -> Self {
        Self::in_memory(Options::default())
    }
}

/// The items of a run, read in pages.
pub struct ItemPages {
    queries: Arc<dyn Queries>,
    run: RunId,
    after: Option<u32>,
    more: bool,
}

impl ItemPages {
    /// The next items; `None` after the last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<ItemRow>>, StoreError> {
        if !self.more {
            return Ok(None);
        }
        let page = self.queries.items(self.run, self.after, ITEMS).await?;
        self.more = page.len() == ITEMS;
        self.after = page.last().map(|row| row.item);
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// All that are left, for those that need them together.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn all(mut self) -> Result<Vec<ItemRow>, StoreError> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// The events of a tree, read in pages.
pub struct RecordPages {
    journal: Arc<dyn Journal>,
    root: RunId,
    after: u64,
}

impl RecordPages {
    /// The next events; `None` after those that are there by now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Arc<Record>>>, StoreError> {
        let records = self.journal.read(self.root, self.after, JOURNAL).await?.records;
        let Some(last) = records.last() else { return Ok(None) };
        self.after = last.seq;
        Ok(Some(records))
    }

    /// The sequence of the last event that is there by now.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last(mut self) -> Result<u64, StoreError> {
        while self.next().await?.is_some() {}
        Ok(self.after)
    }
}
