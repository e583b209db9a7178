//! What happens in a run tree, as it becomes durable.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use stepflow_protocol::RunId;
use tokio::sync::{mpsc, oneshot};

use crate::event::{Event, Record, StepRef, TaskRef};
use crate::ports::{Instance, Journal, StoreError};

/// One piece of news.
#[derive(Debug, Clone)]
pub enum Notice {
    /// An event, now durable.
    Record(Arc<Record>),
    /// A worker has an attempt. Not in the journal: it says nothing about the run's fate.
    Started {
        /// The step.
        step: StepRef,
        /// The attempt.
        task: TaskRef,
        /// The worker; `None` for a component of this process.
        instance: Option<Arc<Instance>>,
    },
}

impl Notice {
    /// The worker that it names.
    pub(crate) fn into_instance(self) -> Option<Arc<Instance>> {
        match self {
            Self::Record(_) => None,
            Self::Started { instance, .. } => instance,
        }
    }
}

/// The driver's side of a subscription: everything up to `durable` is in the journal, the rest comes as news.
pub(crate) struct Feed {
    pub durable: u64,
    pub news: mpsc::UnboundedReceiver<Notice>,
}

/// News of one tree. Ends after the end of its root run.
pub struct Subscription {
    root: RunId,
    after: u64,
    opening: Option<BoxFuture<'static, Result<Opened, StoreError>>>,
    past: VecDeque<Record>,
    news: Option<mpsc::UnboundedReceiver<Notice>>,
    ended: bool,
}

impl Subscription {
    pub(crate) fn new(root: RunId, after: u64, journal: Arc<dyn Journal>, feed: oneshot::Receiver<Feed>) -> Self {
        let opening = open(root, after, journal, feed).boxed();
        Self { root, after, opening: Some(opening), past: VecDeque::new(), news: None, ended: false }
    }

    /// The next piece of news, `None` after the end. Who stops waiting for it may ask again and misses nothing.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn next(&mut self) -> Result<Option<Notice>, StoreError> {
        if let Some(opening) = &mut self.opening {
            let opened = opening.await;
            self.opening = None;
            (self.past, self.news) = opened?;
        }
        if self.ended {
            return Ok(None);
        }
        if let Some(record) = self.past.pop_front() {
            return Ok(Some(self.seen(Notice::Record(Arc::new(record)))));
        }
        loop {
            let Some(news) = &mut self.news else { return Ok(None) };
            match news.recv().await {
                None => return Ok(None),
                Some(Notice::Record(record)) if record.seq <= self.after => {}
                Some(notice) => return Ok(Some(self.seen(notice))),
            }
        }
    }

    fn seen(&mut self, notice: Notice) -> Notice {
        if let Notice::Record(record) = &notice {
            self.after = record.seq;
            self.ended = matches!(&record.event, Event::RunEnded(ended) if ended.run == self.root);
        }
        notice
    }
}

/// What had happened before the first call, and where the rest comes from.
type Opened = (VecDeque<Record>, Option<mpsc::UnboundedReceiver<Notice>>);

async fn open(
    root: RunId,
    after: u64,
    journal: Arc<dyn Journal>,
    feed: oneshot::Receiver<Feed>,
) -> Result<Opened, StoreError> {
    // A tree that is not running has no feed: all of it is in the journal.
    let feed = feed.await.ok();
    let durable = feed.as_ref().map_or(u64::MAX, |feed| feed.durable);
    let past = journal.read(root, after).await?;
    Ok((past.into_iter().filter(|record| record.seq <= durable).collect(), feed.map(|feed| feed.news)))
}
