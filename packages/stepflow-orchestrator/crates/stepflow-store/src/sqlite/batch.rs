//! Several requests in one transaction. What one of them does wrong is not the others' fault.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
use stepflow_engine::ports::StoreError;
use stepflow_protocol::RunId;

use super::crash::Crash;
use super::disk::Disk;
use super::files::Files;
use super::gauge::Gauges;
use super::message::{Done, Message};
use super::outage;
use super::work::{Failure, Work};

/// Incarnations of which an append was refused, with the reason.
pub(super) type Refused = HashMap<RunId, (u64, StoreError)>;

pub(super) struct Batch<'a> {
    pub disk: &'a mut Disk,
    pub gauges: &'a Gauges,
    /// The owners' numbers.
    pub epochs: &'a HashMap<u8, u64>,
    pub files: &'a Files,
    pub refused: &'a mut Refused,
    pub crash: &'a Crash,
}

impl Batch<'_> {
    /// Stores all of it, in one transaction, without what must not be stored or cannot be. Each answer is final.
    pub fn store(&mut self, batch: &[Message]) -> Vec<Result<Done, StoreError>> {
        let mut spoiled: HashMap<usize, StoreError> = HashMap::new();
        loop {
            let at = Cell::new(batch.len());
            let result = catch_unwind(AssertUnwindSafe(|| self.attempt(batch, &spoiled, &at)));
            let culprit = at.get();
            let why = match result {
                Ok(Ok(results)) => return results,
                Ok(Err(why)) => why,
                Err(_) => outage::of_panic(),
            };
            if culprit >= batch.len() {
                // It was not one of them: nothing is stored.
                batch.iter().for_each(|message| refuse(self.refused, message, &why));
                return batch.iter().map(|_| Err(why.clone())).collect();
            }
            // The transaction is undone, and nobody has heard of it: once more, without that one.
            spoiled.insert(culprit, why);
        }
    }

    /// Tries it. When one of them alone was the reason why it did not succeed, `at` says which one.
    fn attempt(
        &mut self,
        batch: &[Message],
        spoiled: &HashMap<usize, StoreError>,
        at: &Cell<usize>,
    ) -> Result<Vec<Result<Done, StoreError>>, StoreError> {
        let Self { disk, gauges, epochs, files, refused, crash } = self;
        let mut removed = Vec::new();
        let results = disk.transaction(gauges, |connection, known| {
            let mut work = Work { connection, known, epochs, files, removed: &mut removed };
            let mut results = Vec::with_capacity(batch.len());
            for (index, message) in batch.iter().enumerate() {
                at.set(index);
                let result = match spoiled.get(&index) {
                    Some(why) => Err(Failure::Refused(why.clone())),
                    None => apply(&mut work, refused, message),
                };
                results.push(match result {
                    Ok(done) => Ok(done),
                    Err(Failure::Refused(why)) => {
                        // Known at once, for those that follow in this batch.
                        refuse(refused, message, &why);
                        Err(why)
                    }
                    Err(Failure::Sql(error)) => {
                        if !is_own(&error) {
                            at.set(batch.len());
                        }
                        return Err(error);
                    }
                });
            }
            at.set(batch.len());
            crash.before_commit();
            Ok(results)
        })?;
        for name in &removed {
            files.remove(name);
        }
        Ok(results)
    }
}

/// Whether an error is that of one request, and not of the disk.
fn is_own(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(code, ConstraintViolation | TooBig | TypeMismatch),
        // A value that is not what its column should have.
        None => true,
    }
}

/// What follows a refused append, or a refused beginning, is refused, too.
fn refuse(refused: &mut Refused, message: &Message, why: &StoreError) {
    let append = match message {
        Message::Append(append) => append,
        Message::Create(new, _) => &new.append,
        _ => return,
    };
    refused.insert(append.root, (append.incarnation, why.clone()));
}

fn apply(work: &mut Work<'_>, refused: &mut Refused, message: &Message) -> Result<Done, Failure> {
    match message {
        Message::Append(append) => {
            match refused.get(&append.root) {
                Some((incarnation, why)) if *incarnation == append.incarnation => return Err(why.clone().into()),
                Some(_) => drop(refused.remove(&append.root)),
                None => {}
            }
            work.append(append).map(|()| Done::Stored)
        }
        Message::Stage(after, inputs, _) => work.stage(*after, inputs).map(Done::Staged),
        Message::Create(new, _) => work.create(new).map(Done::Created),
        Message::Mark(root, epoch, tasks, _) => work.mark(*root, *epoch, tasks).map(|()| Done::Stored),
        Message::Unmark(root, epoch, tasks, _) => work.unmark(*root, *epoch, tasks).map(|()| Done::Stored),
        Message::Delete(root, _) => work.delete(*root).map(Done::Deleted),
        Message::GiveUp(root, epoch, why, _) => work.give_up(*root, *epoch, why).map(|()| Done::Stored),
        Message::PutFlow(plan, at, _) => work.put_flow(plan, *at, true).map(|()| Done::Stored),
        Message::PutBlob(blob, _) => work.put_blob(blob).map(|()| Done::Stored),
        Message::Touch(id, _) => work.touch(*id).map(Done::Touched),
        Message::Barrier(_) | Message::Own(..) | Message::Leave(..) | Message::Sweep(_) | Message::Stop(..) => {
            Ok(Done::Stored)
        }
    }
}
