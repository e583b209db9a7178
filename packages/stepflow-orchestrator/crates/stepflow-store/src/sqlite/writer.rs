//! The only thread that writes. It takes all waiting requests, stores them in one transaction, and then answers all of
//! them.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::params;
use stepflow_engine::ports::{Append, AppendRef, Commits, Created, Deleted, Owned, StoreError};
use stepflow_engine::{Shards, shard_of};

use super::at_work::AtWork;
use super::batch::{Batch, Refused};
use super::chores::Chores;
use super::crash::Crash;
use super::disk::Disk;
use super::files::Files;
use super::gauge::Gauges;
use super::message::{Done, Message};
use super::work;

/// A batch ends at so many bytes.
const BATCH: usize = 8 << 20;

/// How long marks wait for other requests to share a transaction with.
const MARKS_WAIT: Duration = Duration::from_millis(10);

/// How long a read may last when the WAL is long and cannot be cut.
const LONGEST_READ: Duration = Duration::from_secs(2);

/// How long the queue has to be empty before the WAL is cut.
const IDLE: Duration = Duration::from_secs(1);

/// How often it is tried whether the database can be written again.
const PROBE: Duration = Duration::from_secs(1);

/// The receiver for the results of a shard's appends.
pub(super) type Owners = Arc<Mutex<HashMap<u8, Arc<dyn Commits>>>>;

pub(super) struct Writer {
    pub queue: Receiver<Message>,
    pub disk: Disk,
    pub chores: Chores,
    pub crash: Crash,
    pub owners: Owners,
    pub files: Arc<Files>,
    pub gauges: Arc<Gauges>,
    pub at_work: Arc<AtWork>,
    /// The owners' numbers.
    pub epochs: HashMap<u8, u64>,
    /// Incarnations with a refused append: the appends that follow are refused, too.
    pub refused: Refused,
}

impl Writer {
    pub fn run(mut self) {
        let mut stopped = None;
        while let Some(first) = self.next() {
            let (batch, alone) = self.batch(first);
            if !batch.is_empty() {
                self.store(batch);
            }
            match alone {
                Some(Message::Own(shards, commits, reply)) => drop(reply.send(self.own(shards, commits))),
                Some(Message::Leave(shards, reply)) => drop(reply.send(self.leave(shards))),
                Some(Message::Sweep(reply)) => self.chores.ask(reply),
                Some(Message::Stop(readers, reply)) => {
                    // A reader at work would keep the WAL from being cut.
                    readers.into_iter().for_each(|reader| drop(reader.join()));
                    stopped = Some(reply);
                    break;
                }
                _ => {}
            }
            if self.chores.is_late() {
                self.chore();
            }
            self.disk.checkpoint();
            if self.disk.is_long() {
                self.at_work.interrupt(LONGEST_READ);
            }
        }
        self.disk.close();
        let late = self.queue.try_iter().filter_map(|message| match message {
            Message::Append(append) => Some((written(&append), super::stopped())),
            _ => None,
        });
        let late = late.collect();
        tell(&self.owners, Vec::new(), late);
        // They may be what holds the store.
        self.owners.lock().clear();
        let _ = stopped.map(|stopped| stopped.send(()));
    }

    fn next(&mut self) -> Option<Message> {
        loop {
            let cuts = self.disk.is_untidy() && !self.chores.is_under_way();
            let is_down = self.gauges.down().is_some();
            let longest = if is_down { PROBE } else { self.chores.pause() };
            let pause = if cuts { IDLE.min(longest) } else { longest };
            match self.queue.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if is_down => self.disk.probe(&self.gauges),
                Err(RecvTimeoutError::Timeout) if cuts => self.disk.tidy(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.chore();
        }
    }

    fn chore(&mut self) {
        let Self { chores, disk, gauges, files, epochs, .. } = self;
        if !guard(|| chores.step(disk, gauges, files, epochs)) {
            self.chores.give_up();
        }
    }

    /// The waiting requests, up to a limit, and a request that has to wait until they are stored.
    fn batch(&mut self, first: Message) -> (Vec<Message>, Option<Message>) {
        let began = Instant::now();
        let (mut batch, mut size) = (Vec::new(), 0);
        let mut next = Some(first);
        while let Some(message) = next {
            if message.stands_alone() {
                return (batch, Some(message));
            }
            size += message.size();
            let ends = matches!(message, Message::Append(_) | Message::Create(..)) && self.crash.is_next();
            batch.push(message);
            if size >= BATCH || ends {
                break;
            }
            next = self.queue.try_recv().ok();
            if next.is_none() && batch.iter().all(|message| matches!(message, Message::Mark(..) | Message::Unmark(..)))
            {
                next = self.queue.recv_timeout(MARKS_WAIT.saturating_sub(began.elapsed())).ok();
            }
        }
        (batch, None)
    }

    fn store(&mut self, batch: Vec<Message>) {
        let is_barrier = |message: &Message| matches!(message, Message::Barrier(_));
        if batch.iter().all(is_barrier) {
            return batch.into_iter().for_each(|message| self.answer(message, Ok(Done::Stored)));
        }
        let Self { disk, epochs, files, refused, gauges, crash, .. } = self;
        let results = Batch { disk, gauges, epochs, files, refused, crash }.store(&batch);
        crash.after_commit();
        if batch.iter().any(|message| matches!(message, Message::Delete(..))) {
            self.chores.soon();
        }
        gauges.batch(batch.iter().filter(|message| !is_barrier(message)).count());
        if gauges.down().is_none() {
            // One line for many: their trees try again.
            let refused: BTreeSet<String> = results
                .iter()
                .filter_map(|result| match result {
                    Err(StoreError::Unavailable(outage)) => Some(outage.to_string()),
                    _ => None,
                })
                .collect();
            refused.iter().for_each(|why| tracing::warn!("something was not stored: {why}"));
        }
        let mut committed = Vec::new();
        let mut failed = Vec::new();
        for (message, result) in batch.into_iter().zip(results) {
            match (message, result) {
                (Message::Append(append), Ok(_)) => committed.push(written(&append)),
                (Message::Append(append), Err(why)) => failed.push((written(&append), why)),
                (message, result) => self.answer(message, result),
            }
        }
        tell(&self.owners, committed, failed);
    }

    fn answer(&self, message: Message, result: Result<Done, StoreError>) {
        match message {
            Message::Create(_, reply) => drop(reply.send(result.map(|done| match done {
                Done::Created(created) => created,
                _ => Created::New,
            }))),
            Message::Stage(.., reply) => drop(reply.send(result.and_then(|done| match done {
                Done::Staged(stage) => Ok(stage),
                _ => Err(super::stopped()),
            }))),
            Message::Delete(_, reply) => drop(reply.send(result.map(|done| match done {
                Done::Deleted(deleted) => deleted,
                _ => Deleted::Gone,
            }))),
            Message::Mark(.., reply)
            | Message::Unmark(.., reply)
            | Message::GiveUp(.., reply)
            | Message::PutFlow(.., reply)
            | Message::PutBlob(.., reply) => drop(reply.send(result.map(drop))),
            Message::Touch(_, reply) => drop(reply.send(result.map(|done| matches!(done, Done::Touched(true))))),
            // What was before it is not stored, or it is: either way the journal says so now.
            Message::Barrier(reply) => drop(reply.send(Ok(()))),
            Message::Append(_) | Message::Own(..) | Message::Leave(..) | Message::Sweep(_) | Message::Stop(..) => {}
        }
    }

    fn own(&mut self, shards: Shards, commits: Arc<dyn Commits>) -> Result<Vec<Owned>, StoreError> {
        let owned = self.disk.transaction(&self.gauges, |connection, _| {
            let sql = "INSERT INTO meta (key, value) VALUES ('epoch', 1)
                       ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value";
            let epoch = connection.query_row(sql, [], |row| row.get::<_, i64>(0))?;
            let own = |shard: u8| {
                let clean = "SELECT clean FROM shards WHERE shard = ?1 UNION ALL SELECT 1 LIMIT 1";
                let clean = connection.prepare_cached(clean)?.query_row([shard], |row| row.get(0))?;
                let own = "INSERT OR REPLACE INTO shards (shard, epoch, clean) VALUES (?1, ?2, 0)";
                connection.prepare_cached(own)?.execute(params![shard, epoch])?;
                Ok(Owned { shard, epoch: epoch.cast_unsigned(), clean })
            };
            shards.iter().map(own).collect::<rusqlite::Result<Vec<Owned>>>()
        })?;
        let mut owners = self.owners.lock();
        for owned in &owned {
            self.epochs.insert(owned.shard, owned.epoch);
            owners.insert(owned.shard, Arc::clone(&commits));
        }
        self.refused.retain(|root, _| !shards.contains(*root));
        Ok(owned)
    }

    fn leave(&mut self, shards: Shards) -> Result<(), StoreError> {
        self.disk.transaction(&self.gauges, |connection, _| {
            let mut leave = connection.prepare_cached("UPDATE shards SET clean = 1 WHERE shard = ?1")?;
            shards.iter().try_for_each(|shard| leave.execute([shard]).map(drop))?;
            work::forget_marks(connection, shards)
        })
    }
}

/// Tells the owners, each once for all that is durable now.
fn tell(owners: &Owners, committed: Vec<AppendRef>, failed: Vec<(AppendRef, StoreError)>) {
    let owners = owners.lock().clone();
    let mut by_owner: Vec<(&Arc<dyn Commits>, Vec<AppendRef>)> = Vec::new();
    for written in committed {
        let Some(owner) = owners.get(&shard_of(written.root)) else { continue };
        match by_owner.iter_mut().find(|(known, _)| Arc::ptr_eq(known, owner)) {
            Some((_, appends)) => appends.push(written),
            None => by_owner.push((owner, vec![written])),
        }
    }
    by_owner.into_iter().for_each(|(owner, appends)| {
        let _ = guard(|| owner.committed(appends));
    });
    let mut by_reason: Vec<(&Arc<dyn Commits>, Vec<AppendRef>, StoreError)> = Vec::new();
    for (written, why) in failed {
        let Some(owner) = owners.get(&shard_of(written.root)) else { continue };
        match by_reason.iter_mut().find(|(known, _, reason)| Arc::ptr_eq(known, owner) && *reason == why) {
            Some((_, appends, _)) => appends.push(written),
            None => by_reason.push((owner, vec![written], why)),
        }
    }
    by_reason.into_iter().for_each(|(owner, appends, why)| {
        let _ = guard(|| owner.failed(appends, why));
    });
}

/// Does what may panic and must not be the end of the writer: all other runs need it. Whether it was done.
fn guard(work: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_ok()
}

fn written(append: &Append) -> AppendRef {
    AppendRef { root: append.root, incarnation: append.incarnation, upto: append.upto() }
}
