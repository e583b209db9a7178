//! What happens in a run tree, as it becomes durable.

use std::collections::VecDeque;
use std::sync::Arc;

use stepflow_protocol::RunId;
use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::event::{Event, Record};
use crate::notice::Notice;
use crate::ports::{Journal, Standing, StoreError};

/// How many pieces of news may wait for a subscriber. One that lags behind them is cut off and goes on from the journal.
const LAG: usize = 1_024;

/// How much of a journal is read at a time.
const PAGE: usize = 256 << 10;

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
    journal: Arc<dyn Journal>,
    root: RunId,
    after: u64,
    past: VecDeque<Arc<Record>>,
    /// What comes after the journal's end.
    news: mpsc::Receiver<Notice>,
    /// Comes when the news miss nothing any more: before, the journal may grow unseen.
    asked: Option<oneshot::Receiver<()>>,
    /// Whether the journal has been read to its end since the news were asked for.
    caught_up: bool,
    ended: bool,
}

impl Subscription {
    pub(crate) fn new(
        door: mpsc::UnboundedSender<Command>,
        journal: Arc<dyn Journal>,
        root: RunId,
        after: u64,
    ) -> Self {
        let (news, asked) = ask(&door, root);
        let past = VecDeque::new();
        Self { door, journal, root, after, past, news, asked: Some(asked), caught_up: false, ended: false }
    }

    /// The next piece of news, `None` after the end. Who stops waiting for it may ask again and misses nothing.
    ///
    /// # Errors
    /// When the journal cannot be read, or nothing more will come although the run has not ended: the engine has
    /// stopped, or the tree cannot go on.
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
                // An engine that has stopped does not reply: then the journal is all there is.
                let _ = asked.await;
                self.asked = None;
            }
            if !self.caught_up {
                let page = self.journal.read(self.root, self.after, PAGE).await?;
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

    /// The journal's end is reached: more will come, unless the run has ended.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let standing = self.standing().await?;
        if standing.is_none_or(|standing| standing.ended) {
            // Its end may have come after the journal was read.
            let page = self.journal.read(self.root, self.after, PAGE).await?;
            self.ended = page.records.is_empty();
            self.past.extend(page.records);
        } else {
            self.caught_up = true;
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Option<Standing>, StoreError> {
        let standing = self.journal.find(self.root).await?;
        match standing.as_ref().and_then(|standing| standing.given_up.clone()) {
            Some(why) => Err(StoreError::Unavailable(why)),
            None => Ok(standing),
        }
    }

    /// The news have stopped: because this subscriber lagged, or because there will be none.
    async fn go_on(&mut self) -> Result<(), StoreError> {
        let stopped = || StoreError::Unavailable("the engine has stopped".to_owned());
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
