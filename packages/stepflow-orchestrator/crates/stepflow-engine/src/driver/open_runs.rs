//! The runs that have not ended for good, and who waits for something to become of them.

use std::collections::HashMap;

use stepflow_protocol::RunId;
use tokio::sync::oneshot;

use crate::engine::{CancelError, Error};
use crate::event::{Event, Record, TaskRef};
use crate::ports::StoreError;

/// Where a run's id goes once the run is durable.
pub(crate) type Made = oneshot::Sender<Result<RunId, Error>>;

/// The runs that are open.
#[derive(Default)]
pub(super) struct OpenRuns(HashMap<RunId, OpenRun>);

struct OpenRun {
    root: RunId,
    /// Whether the run is durable.
    made: bool,
    to_be_made: Vec<Made>,
    to_be_cancelled: Vec<oneshot::Sender<Result<(), CancelError>>>,
    to_end: Vec<(oneshot::Sender<()>, Option<TaskRef>)>,
}

impl OpenRun {
    fn of(root: RunId) -> Self {
        Self { root, made: false, to_be_made: Vec::new(), to_be_cancelled: Vec::new(), to_end: Vec::new() }
    }
}

impl OpenRuns {
    /// Takes note of a run that is about to be, and replies with its id once it is durable.
    pub fn expect(&mut self, run: RunId, root: RunId, reply: Made) {
        self.0.entry(run).or_insert_with(|| OpenRun::of(root)).to_be_made.push(reply);
    }

    /// Takes note of the run that was decided, if one was.
    pub fn decided(&mut self, record: &Record) {
        if let Event::RunCreated(created) = &record.event {
            self.0.entry(created.run).or_insert_with(|| OpenRun::of(created.root));
        }
    }

    /// Tells those who wait for what is durable now; the attempts among them that waited for the end of a run.
    pub fn durable(&mut self, record: &Record) -> Vec<TaskRef> {
        match &record.event {
            Event::RunCreated(created) => self.made(created.run),
            Event::RunEnded(ended) => return self.ended(ended.run),
            _ => {}
        }
        Vec::new()
    }

    fn made(&mut self, id: RunId) {
        let Some(run) = self.0.get_mut(&id) else { return };
        run.made = true;
        for reply in run.to_be_made.drain(..) {
            let _ = reply.send(Ok(id));
        }
    }

    fn ended(&mut self, id: RunId) -> Vec<TaskRef> {
        let Some(run) = self.0.remove(&id) else { return Vec::new() };
        for reply in run.to_be_cancelled {
            let _ = reply.send(Ok(()));
        }
        let mut waited = Vec::new();
        for (reply, by) in run.to_end {
            let _ = reply.send(());
            waited.extend(by);
        }
        waited
    }

    /// The root of a run that has not ended for good.
    pub fn root_of(&self, id: RunId) -> Option<RunId> {
        self.0.get(&id).map(|run| run.root)
    }

    /// Replies with the run's id once it is durable. A run that has ended is.
    pub fn when_made(&mut self, id: RunId, reply: Made) {
        match self.0.get_mut(&id).filter(|run| !run.made) {
            Some(run) => run.to_be_made.push(reply),
            None => drop(reply.send(Ok(id))),
        }
    }

    /// Replies once the end of the run, which was asked for, is durable.
    pub fn when_cancelled(&mut self, id: RunId, reply: oneshot::Sender<Result<(), CancelError>>) {
        if let Some(run) = self.0.get_mut(&id) {
            run.to_be_cancelled.push(reply);
        }
    }

    /// Replies once the end of the run is durable, for this attempt if one waits. False when it is already.
    pub fn when_ended(&mut self, id: RunId, reply: oneshot::Sender<()>, by: Option<TaskRef>) -> bool {
        let Some(run) = self.0.get_mut(&id) else {
            let _ = reply.send(());
            return false;
        };
        run.to_end.push((reply, by));
        true
    }

    /// Lets go of a tree whose events could not be stored; who waits for its runs is told that nothing comes.
    pub fn abandon(&mut self, root: RunId, error: &StoreError) {
        for (_, run) in self.0.extract_if(|_, run| run.root == root) {
            for reply in run.to_be_made {
                let _ = reply.send(Err(Error::Store(error.clone())));
            }
        }
    }
}
