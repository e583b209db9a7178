//! The journals of the store in memory.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use stepflow_engine::event::{Record, TaskRef, ValueRef};
use stepflow_engine::ports::{
    Append, AppendRef, Appended, Commits, Created, Deleted, Journal, NewRun, OpenRoot, Owned, Page, RunState,
    StagedInputs, StoreError,
};
use stepflow_engine::{Shards, shard_of};
use stepflow_flow::Plan;
use stepflow_protocol::{FlowId, RunId, Value};

use super::{MemoryStore, Shard, done, no_run};

/// About how many bytes an event takes besides its values.
const EVENT: usize = 256;

impl Journal for MemoryStore {
    fn own(&self, shards: Shards, commits: Arc<dyn Commits>) -> BoxFuture<'static, Result<Vec<Owned>, StoreError>> {
        let mut kept = self.kept.lock();
        let owned = shards.iter().map(|shard| {
            let entry = kept.shards.entry(shard).or_insert_with(|| Shard { clean: true, ..Shard::default() });
            entry.epoch += 1;
            let owned = Owned { shard, epoch: entry.epoch, clean: std::mem::replace(&mut entry.clean, false) };
            entry.commits = Some(Arc::clone(&commits));
            owned
        });
        done(Ok(owned.collect()))
    }

    fn leave(&self, shards: Shards) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut kept = self.kept.lock();
        for shard in shards.iter() {
            kept.shards.entry(shard).or_default().clean = true;
        }
        for (_, tree) in kept.trees.iter_mut().filter(|(root, _)| shards.contains(**root)) {
            tree.marked.clear();
        }
        done(Ok(()))
    }

    fn open_roots(
        &self,
        shards: Shards,
        after: Option<RunId>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<OpenRoot>, StoreError>> {
        let kept = self.kept.lock();
        let open = kept.trees.iter().filter(|(root, tree)| {
            let ended = tree.rows.runs.get(root).is_some_and(|run| run.status.is_terminal());
            shards.contains(**root) && after.is_none_or(|after| **root > after) && !ended && tree.given_up.is_none()
        });
        let mut open: Vec<OpenRoot> = open.map(|(root, tree)| OpenRoot { root: *root, idle: tree.idle }).collect();
        open.sort_by_key(|open| open.root);
        open.truncate(most);
        done(Ok(open))
    }

    fn mark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        if let Some(tree) = self.kept.lock().trees.get_mut(&root).filter(|tree| tree.epoch <= epoch) {
            tree.marked.extend(tasks);
        }
        done(Ok(()))
    }

    fn unmark(&self, root: RunId, epoch: u64, tasks: Vec<TaskRef>) -> BoxFuture<'static, Result<(), StoreError>> {
        if let Some(tree) = self.kept.lock().trees.get_mut(&root).filter(|tree| tree.epoch <= epoch) {
            tree.marked.retain(|task| !tasks.contains(task));
        }
        done(Ok(()))
    }

    fn due(
        &self,
        shards: Shards,
        upto: Timestamp,
        after: Option<(Timestamp, RunId)>,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<(Timestamp, RunId)>, StoreError>> {
        let kept = self.kept.lock();
        let all = kept.due.iter().map(|(at, root, _)| (*at, *root)).take_while(|(at, _)| *at < upto);
        let of_page = all.filter(|due| shards.contains(due.1) && after.is_none_or(|after| *due > after));
        // Each tree once, before they are counted: a tree with many due times must not fill the page.
        let mut last = None;
        let each = of_page.filter(|due| last.replace(*due) != Some(*due));
        done(Ok(each.take(most).collect()))
    }

    fn stage(
        &self,
        after: Option<StagedInputs>,
        inputs: Vec<Value>,
    ) -> BoxFuture<'static, Result<StagedInputs, StoreError>> {
        done(self.kept.lock().stage(after, inputs))
    }

    fn create(&self, run: NewRun) -> BoxFuture<'static, Result<Created, StoreError>> {
        done(self.kept.lock().create(run, self.options.keep_finished))
    }

    fn append(&self, append: Append) -> Appended {
        let written = AppendRef { root: append.root, incarnation: append.incarnation, upto: append.upto() };
        let mut kept = self.kept.lock();
        match kept.append(append, self.options.keep_finished) {
            Ok(()) => Appended::Now,
            Err(why) => {
                let commits = kept.shards.get(&shard_of(written.root)).and_then(|shard| shard.commits.clone());
                drop(kept);
                if let Some(commits) = commits {
                    commits.failed(vec![written], why);
                }
                Appended::Later
            }
        }
    }

    fn read(&self, root: RunId, after_seq: u64, max_bytes: usize) -> BoxFuture<'static, Result<Page, StoreError>> {
        let kept = self.kept.lock();
        let Some(tree) = kept.trees.get(&root) else { return done(Err(no_run(root))) };
        let after = usize::try_from(after_seq).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |record: &&Arc<Record>| {
            let fits = bytes < max_bytes;
            bytes += EVENT + record.event.size();
            fits
        };
        let rest = tree.journal.get(after..).unwrap_or_default();
        let records: Vec<Arc<Record>> = rest.iter().take_while(fits).cloned().collect();
        let is_last = records.len() == rest.len();
        done(Ok(Page { records, is_last, epoch: tree.epoch, marked: tree.marked.iter().copied().collect() }))
    }

    fn values(&self, root: RunId, places: Vec<ValueRef>) -> BoxFuture<'static, Result<Vec<Option<Value>>, StoreError>> {
        let kept = self.kept.lock();
        done(Ok(places.iter().map(|place| kept.value(root, place)).collect()))
    }

    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Option<Arc<Plan>>, StoreError>> {
        done(Ok(self.kept.lock().flows.get(id).cloned()))
    }

    fn find(&self, run: RunId) -> BoxFuture<'static, Result<Option<RunState>, StoreError>> {
        done(Ok(self.kept.lock().standing(run)))
    }

    fn delete(&self, root: RunId) -> BoxFuture<'static, Result<Deleted, StoreError>> {
        done(self.kept.lock().delete(root))
    }

    fn give_up(&self, root: RunId, _: u64, why: String) -> BoxFuture<'static, Result<(), StoreError>> {
        let mut kept = self.kept.lock();
        if let Some(tree) = kept.trees.get_mut(&root) {
            tree.given_up = Some(why);
            let owed: Vec<u64> = tree.owes.keys().copied().collect();
            kept.settle(root, &owed);
        }
        done(Ok(()))
    }
}
