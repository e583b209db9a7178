//! What one engine sees of the store.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_engine::Shards;
use stepflow_engine::event::{TaskRef, ValueRef};
use stepflow_engine::ports::{
    Append, Appended, Commits, Created, Deleted, Journal, NewRun, OpenRoot, Owned, Page, RunState, StagedInputs,
    StoreError,
};
use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, RunId, Value};

use super::store::{Store, Told, unavailable};

pub struct Connection {
    store: Arc<Store>,
    told: Told,
}

impl Connection {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, told: Arc::default() }
    }

    /// Reads when it is this tree's turn.
    fn in_turn<T: Send + 'static>(
        &self,
        root: Option<RunId>,
        read: impl FnOnce(&Store) -> BoxFuture<'static, Result<T, StoreError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let store = Arc::clone(&self.store);
        store.lock().asked += 1;
        async move {
            store.turn(root).await?;
            read(&store).await
        }
        .boxed()
    }
}

impl Journal for Connection {
    fn own(&self, shards: Shards, commits: Arc<dyn Commits>) -> BoxFuture<'static, Result<Vec<Owned>, StoreError>> {
        let told = Arc::clone(&self.told);
        self.in_turn(None, move |store| {
            told.lock().unwrap().push((shards, commits));
            let owned = store.durable.own(shards, store.refusals()).now_or_never().expect("the memory answers at once");
            owned.iter().flatten().for_each(|owned| store.owned(owned.shard, owned.epoch));
            async { owned }.boxed()
        })
    }

    fn leave(&self, shards: Shards) -> BoxFuture<'static, Result<(), StoreError>> {
        self.in_turn(None, move |store| store.durable.leave(shards))
    }

    fn open_roots(
        &self,
        shards: Shards,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<OpenRoot>, StoreError>> {
        self.in_turn(None, move |store| match store.lock().no_roots {
            true => async { Err(unavailable()) }.boxed(),
            false => store.durable.open_roots(shards, after, most),
        })
    }

    fn mark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        self.store
            .give_mark(root, epoch, tasks, true)
            .map(|answer| answer.unwrap_or_else(|_| Err(unavailable())))
            .boxed()
    }

    fn unmark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        let done = self.store.give_mark(root, epoch, tasks, false);
        done.map(|answer| answer.unwrap_or_else(|_| Err(unavailable()))).boxed()
    }

    fn due(
        &self,
        shards: Shards,
        upto: Timestamp,
        after: Option<(Timestamp, RunId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<(Timestamp, RunId)>, StoreError>> {
        self.in_turn(None, move |store| match store.lock().no_due {
            true => async { Err(unavailable()) }.boxed(),
            false => store.durable.due(shards, upto, after, most),
        })
    }

    fn stage(
        &self,
        after: Option<StagedInputs>,
        inputs: Vec<Value>,
    ) -> BoxFuture<'static, Result<StagedInputs, StoreError>> {
        self.in_turn(None, move |store| store.durable.stage(after, inputs))
    }

    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<Created, StoreError>> {
        self.store.give_create(&self.told, run).map(|answer| answer.unwrap_or_else(|_| Err(unavailable()))).boxed()
    }

    fn append(&self, append: Append) -> Appended {
        self.store.give_append(&self.told, append)
    }

    fn read(&self, root: RunId, after_seq: u64, max_bytes: usize) -> BoxFuture<'static, Result<Page, StoreError>> {
        self.store.lock().trees_asked += 1;
        self.in_turn(Some(root), move |store| store.durable.read(root, after_seq, max_bytes))
    }

    fn values(&self, root: RunId, places: Vec<ValueRef>) -> BoxFuture<'static, Result<Vec<Option<Value>>, StoreError>> {
        let store = Arc::clone(&self.store);
        async move {
            store.contents().await?;
            store.durable.values(root, places).await
        }
        .boxed()
    }

    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        let store = Arc::clone(&self.store);
        async move {
            store.contents().await?;
            Journal::flow(&*store.durable, id).await
        }
        .boxed()
    }

    fn find(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunState>, StoreError>> {
        self.in_turn(None, move |store| store.durable.find(run))
    }

    fn delete(&self, root: RunId) -> BoxFuture<'static, Result<Deleted, StoreError>> {
        self.in_turn(Some(root), move |store| store.durable.delete(root))
    }

    fn give_up(&self, root: RunId, epoch: u64, why: String) -> BoxFuture<'static, Result<(), StoreError>> {
        if self.store.lock().no_give_up {
            return async { Err(unavailable()) }.boxed();
        }
        self.store.complain(format!("the tree {root} was given up: {why}"));
        self.store.durable.give_up(root, epoch, why)
    }
}
