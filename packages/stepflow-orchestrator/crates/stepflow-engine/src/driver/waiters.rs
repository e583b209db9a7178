//! Callers that wait for a run, and subscribers of trees. They are separate from the trees, because they also wait
//! while the tree is not in memory.

use std::collections::HashMap;

use stepflow_protocol::RunId;
use tokio::sync::{mpsc, oneshot};

use crate::command::{Cancelled, Made, WaitingAttempt};
use crate::event::{Event, Record};
use crate::notice::Notice;
use crate::ports::StoreError;
use crate::submission::Error;

/// A caller that waits for the end of a run. It may be an attempt.
type UntilEnd = (oneshot::Sender<()>, Option<WaitingAttempt>);

/// An attempt that waited for a run that has ended, and the reply that lets it go on.
pub(super) type Returns = (WaitingAttempt, oneshot::Sender<()>);

/// How many subscribers there may be before those that have gone are removed.
const FEW: usize = 64;

/// All who wait, by what they wait for.
#[derive(Default)]
pub(super) struct Waiters {
    made: HashMap<RunId, Vec<Made>>,
    cancelled: HashMap<RunId, Vec<Cancelled>>,
    ended: HashMap<RunId, Vec<UntilEnd>>,
    subscribers: HashMap<RunId, Vec<mpsc::Sender<Notice>>>,
    sweep_at: usize,
}

impl Waiters {
    /// Replies with the run's id once it is durable.
    pub fn when_made(&mut self, run: RunId, reply: Made) {
        self.made.entry(run).or_default().push(reply);
    }

    /// Replies to those that wait for the run to be made.
    pub fn made(&mut self, run: RunId, answer: &Result<RunId, Error>) {
        for reply in self.take_made(run) {
            let _ = reply.send(answer.clone());
        }
    }

    /// Those that wait for the run to be made, who wait no more.
    pub fn take_made(&mut self, run: RunId) -> Vec<Made> {
        self.made.remove(&run).unwrap_or_default()
    }

    /// Replies once the end of the run, which was asked for, is durable.
    pub fn when_cancelled(&mut self, run: RunId, reply: Cancelled) {
        self.cancelled.entry(run).or_default().push(reply);
    }

    /// Tells those that asked for the run's end that it may not come.
    pub fn not_cancelled(&mut self, run: RunId, why: &StoreError) {
        for reply in self.cancelled.remove(&run).unwrap_or_default() {
            let _ = reply.send(Err(why.clone().into()));
        }
    }

    /// Replies once the end of the run is durable, for this attempt if one waits.
    pub fn when_ended(&mut self, run: RunId, reply: oneshot::Sender<()>, by: Option<WaitingAttempt>) {
        let waiting = self.ended.entry(run).or_default();
        // Those that have stopped waiting leave nothing behind.
        waiting.retain(|(reply, by)| by.is_some() || !reply.is_closed());
        waiting.push((reply, by));
    }

    /// Whether anybody waits for the run's end.
    pub fn are_until_end(&self, run: RunId) -> bool {
        self.ended.contains_key(&run)
    }

    /// Replies to all that wait for the run's end, except the attempts among them: those are returned with their
    /// replies.
    pub fn ended(&mut self, run: RunId) -> Vec<Returns> {
        for reply in self.cancelled.remove(&run).unwrap_or_default() {
            let _ = reply.send(Ok(()));
        }
        let mut returning = Vec::new();
        for (reply, by) in self.ended.remove(&run).unwrap_or_default() {
            match by {
                Some(by) => returning.push((by, reply)),
                None => drop(reply.send(())),
            }
        }
        returning
    }

    /// Tells those that wait for events that are now durable. Returns the attempts among them that waited for the end
    /// of a run.
    pub fn durable(&mut self, record: &Record) -> Vec<Returns> {
        match &record.event {
            Event::RunCreated(created) => self.made(created.run, &Ok(created.run)),
            Event::RunEnded(ended) => return self.ended(ended.run),
            _ => {}
        }
        Vec::new()
    }

    /// Tells this subscriber what happens in the tree from now on.
    pub fn subscribe(&mut self, root: RunId, subscriber: mpsc::Sender<Notice>) {
        self.subscribers.entry(root).or_default().push(subscriber);
        if self.subscribers.len() > self.sweep_at {
            self.subscribers.retain(|_, subscribers| !subscribers.iter().all(mpsc::Sender::is_closed));
            self.sweep_at = FEW + 2 * self.subscribers.len();
        }
    }

    /// Tells all subscribers of the tree. Those that have gone are removed. Those that are too slow are cut off: they
    /// continue from the journal.
    pub fn publish(&mut self, root: RunId, notice: &Notice) {
        let Some(subscribers) = self.subscribers.get_mut(&root) else { return };
        subscribers.retain(|subscriber| subscriber.try_send(notice.clone()).is_ok());
        if subscribers.is_empty() {
            self.subscribers.remove(&root);
        }
    }

    /// Removes the tree's subscribers: nothing more will come from here.
    pub fn unsubscribe(&mut self, root: RunId) {
        self.subscribers.remove(&root);
    }
}
