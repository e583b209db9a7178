//! Turns behaviors into answers: at once, or after a delay that a cancellation ends early.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Address, Answer, Inbox};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Behavior;

pub(super) struct DelayedAnswers {
    inbox: Arc<dyn Inbox>,
    runtime: Handle,
    waiting: Arc<Mutex<HashMap<TaskRef, oneshot::Sender<()>>>>,
}

impl DelayedAnswers {
    /// To be made inside a tokio runtime.
    pub fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { inbox, runtime: Handle::current(), waiting: Arc::default() }
    }

    pub fn give(&self, address: Address, behavior: Behavior) {
        let Behavior { answer, delay } = behavior;
        let task = address.task;
        self.inbox.started(address, None);
        if delay.is_zero() {
            return self.inbox.answer(address, answer);
        }
        let (cancel, cancelled) = oneshot::channel();
        self.waiting.lock().insert(task, cancel);
        let (inbox, waiting) = (Arc::clone(&self.inbox), Arc::clone(&self.waiting));
        self.runtime.spawn(async move {
            let answer = tokio::select! {
                () = tokio::time::sleep(delay) => answer,
                _ = cancelled => Answer::Cancelled,
            };
            waiting.lock().remove(&task);
            inbox.answer(address, answer);
        });
    }

    pub fn cancel(&self, task: TaskRef) {
        // Dropping the sender wakes the task that sleeps.
        drop(self.waiting.lock().remove(&task));
    }
}
