//! The pool behind its lock, and the door through which it speaks to the engine.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, Inbox, Instance};
use stepflow_protocol::Value;

use super::Pool;
use crate::components::Components;

/// See the module.
pub(crate) struct Shared {
    pool: Mutex<Pool>,
    inbox: Arc<dyn Inbox>,
}

/// A word for the engine.
pub(crate) enum Said {
    Started(TaskRef, Arc<Instance>),
    /// Its worker did not accept it.
    Waits(TaskRef),
    Answer(TaskRef, Answer),
    /// An output that is the answer when it fits.
    Output(TaskRef, Route, Value, Arc<Components>),
}

impl Shared {
    pub(crate) fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { pool: Mutex::default(), inbox }
    }

    /// Changes the pool, hands out what can be handed out, and tells the engine what there is to tell.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Pool) -> R) -> R {
        let mut pool = self.pool.lock();
        let result = change(&mut pool);
        pool.pump();
        self.speak(pool);
        result
    }

    /// Reads the pool.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&Pool) -> R) -> R {
        read(&self.pool.lock())
    }

    /// Tells the engine, without the lock: it may answer with a new offer, and outputs are checked here. One thread
    /// speaks at a time, so that `started` comes before its answer.
    fn speak(&self, mut pool: MutexGuard<'_, Pool>) {
        if pool.speaking {
            return;
        }
        pool.speaking = true;
        while !pool.said.is_empty() {
            let said = std::mem::take(&mut pool.said);
            MutexGuard::unlocked(&mut pool, || said.into_iter().for_each(|word| self.say(word)));
        }
        pool.speaking = false;
    }

    fn say(&self, word: Said) {
        match word {
            Said::Started(task, instance) => self.inbox.started(task, Some(&instance)),
            Said::Waits(task) => self.inbox.waits(task),
            Said::Answer(task, answer) => self.inbox.answer(task, answer),
            Said::Output(task, route, output, components) => {
                self.inbox.answer(task, components.answer(&route.plugin, &route.component, output));
            }
        }
    }
}
