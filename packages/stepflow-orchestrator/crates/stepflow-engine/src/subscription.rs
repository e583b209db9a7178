//! The events of a run tree, as they become durable.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use stepflow_protocol::RunId;
use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::event::{Event, Record};
use crate::notice::Notice;
use crate::ports::{Journal, Page, RunState, StoreError};

/// How many pieces of news may wait for a subscriber. A slower one is cut off and continues from the journal.
const LAG: usize = 1_024;

/// How much of a journal is read at a time.
const PAGE: usize = 256 << 10;

fn stopped() -> StoreError {
    StoreError::unavailable("the engine has stopped", "the server stops")
}

/// Has the news of a tree sent from now on.
fn ask(door: &mpsc::UnboundedSender<Command>, root: RunId) -> (mpsc::Receiver<Notice>, oneshot::Receiver<()>) {
    let (sender, news) = mpsc::channel(LAG);
    let (reply, asked) = oneshot::channel();
    let _ = door.send(Command::Subscribe(root, sender, reply));
    (news, asked)
}

/// News of one tree. Ends after the end of its root run.
pub struct Subscription {
    door: mpsc::UnboundedSender<Command>,
    /// Whoever waits for news does not keep the store open.
    journal: Weak<dyn Journal>,
    root: RunId,
    after: u64,
    past: VecDeque<Arc<Record>>,
    /// What comes after the journal's end.
    news: mpsc::Receiver<Notice>,
    /// It is replied to when no news can be missed any more: before, the journal may grow without news.
    asked: Option<oneshot::Receiver<()>>,
    /// Whether the journal has been read to its end since the news were requested.
    caught_up: bool,
    ended: bool,
}

impl Subscription {
    pub(crate) fn new(
        door: mpsc::UnboundedSender<Command>,
        journal: Weak<dyn Journal>,
        root: RunId,
        after: u64,
    ) -> Self {
        let (news, asked) = ask(&door, root);
        let past = VecDeque::new();
        Self { door, journal, root, after, past, news, asked: Some(asked), caught_up: false, ended: false }
    }

    /// The next piece of news, `None` after the end. A caller that stops waiting may ask again and misses nothing.
    ///
    /// # Errors
    /// When the journal cannot be read, or nothing more will come although the run has not ended: the engine has
    /// stopped, or the tree cannot continue.
    pub async fn next(&mut self) -> Result<Option<Notice>, StoreError> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(record) = self.past.pop_front() {
                if let Some(notice) = self.seen(Notice::Record(record)) {
                    return Ok(Some(notice));
                }
                continue;
            }
            if let Some(asked) = &mut self.asked {
                // An engine that has stopped does not reply. Then only the journal is read.
                let _ = asked.await;
                self.asked = None;
            }
            if !self.caught_up {
                let page = self.read().await?;
                if page.records.is_empty() {
                    self.catch_up().await?;
                }
                self.past.extend(page.records);
                continue;
            }
            match self.news.recv().await {
                Some(notice) => {
                    if let Some(notice) = self.seen(notice) {
                        return Ok(Some(notice));
                    }
                }
                None => self.go_on().await?,
            }
        }
    }

    /// The end of the journal: more will come, unless the run has ended.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let standing = self.standing().await?;
        if standing.is_none_or(|standing| standing.ended) {
            // Its end may have come after the journal was read.
            let page = self.read().await?;
            self.ended = page.records.is_empty();
            self.past.extend(page.records);
        } else {
            self.caught_up = true;
        }
        Ok(())
    }

    fn journal(&self) -> Result<Arc<dyn Journal>, StoreError> {
        self.journal.upgrade().ok_or_else(stopped)
    }

    async fn read(&self) -> Result<Page, StoreError> {
        let page = self.journal()?.read(self.root, self.after, PAGE);
        page.await
    }

    async fn standing(&self) -> Result<Option<RunState>, StoreError> {
        let standing = self.journal()?.find(self.root);
        let standing = standing.await?;
        match standing.as_ref().and_then(|standing| standing.given_up.clone()) {
            Some(why) => Err(StoreError::unavailable("the run cannot go on", why)),
            None => Ok(standing),
        }
    }

    /// The news have stopped: this subscriber was too slow, or no more news will come.
    async fn go_on(&mut self) -> Result<(), StoreError> {
        if self.door.is_closed() {
            return Err(stopped());
        }
        self.standing().await?;
        let (news, asked) = ask(&self.door, self.root);
        (self.news, self.asked, self.caught_up) = (news, Some(asked), false);
        Ok(())
    }

    /// The notice, unless it was seen already.
    fn seen(&mut self, notice: Notice) -> Option<Notice> {
        if let Notice::Record(record) = &notice {
            if record.seq <= self.after {
                return None;
            }
            self.after = record.seq;
            self.ended = matches!(&record.event, Event::RunEnded(ended) if ended.run == self.root);
        }
        Some(notice)
    }
}
