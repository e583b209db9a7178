//! The pool behind its lock, and the way in which it tells the engine what happened.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use stepflow_engine::event::{Instance, Route};
use stepflow_engine::ports::{Address, Answer, Inbox};
use stepflow_protocol::Value;

use super::Pool;
use crate::components::Components;

/// A pool behind its lock.
pub(crate) struct Shared {
    pool: Mutex<Pool>,
    inbox: Arc<dyn Inbox>,
}

/// Something that the engine must be told.
pub(crate) enum Notice {
    /// The task has a slot and is held back until it is marked.
    Starting(Address, u64),
    Started(Address, Arc<Instance>),
    /// The task waits again: its worker did not accept it.
    Waits(Address),
    Answer(Address, Answer),
    /// An output; it becomes the answer if it fits the schema.
    Output(Address, Route, Value, Arc<Components>),
}

/// Held by the one thread that tells the engine. It is given back even when the engine panics, so that the next thread
/// can.
struct NotifyGuard<'a>(MutexGuard<'a, Pool>);

impl Drop for NotifyGuard<'_> {
    fn drop(&mut self) {
        self.0.is_notifying = false;
    }
}

impl Shared {
    pub(crate) fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { pool: Mutex::default(), inbox }
    }

    /// Changes the pool, gives out the tasks that can go out, and tells the engine what happened.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut Pool) -> R) -> R {
        let mut pool = self.pool.lock();
        let result = change(&mut pool);
        pool.dispatch();
        self.notify(pool);
        result
    }

    /// Reads the pool.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&Pool) -> R) -> R {
        read(&self.pool.lock())
    }

    /// Tells the engine what happened, without holding the lock: the engine may offer a task in return, and outputs are
    /// checked here. One thread does this at a time, so that `started` comes before its answer.
    fn notify(&self, mut pool: MutexGuard<'_, Pool>) {
        if pool.is_notifying {
            return;
        }
        pool.is_notifying = true;
        let mut turn = NotifyGuard(pool);
        while !turn.0.notices.is_empty() {
            let said = std::mem::take(&mut turn.0.notices);
            MutexGuard::unlocked(&mut turn.0, || said.into_iter().for_each(|word| self.say(word)));
        }
    }

    fn say(&self, word: Notice) {
        match word {
            Notice::Starting(task, hold) => self.inbox.starting(task, hold),
            Notice::Started(task, instance) => self.inbox.started(task, Some(&instance)),
            Notice::Waits(task) => self.inbox.waits(task),
            Notice::Answer(task, answer) => self.inbox.answer(task, answer),
            Notice::Output(task, route, output, components) => {
                self.inbox.answer(task, components.answer(&route.plugin, &route.component, output));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use stepflow_engine::event::TaskRef;
    use stepflow_protocol::{RunId, TaskId};
    use uuid::Uuid;

    use super::*;
    use crate::worker::pool::shut_down;

    /// Panics when it is told something for the first time.
    #[derive(Default)]
    struct Broken(Mutex<Vec<Address>>);

    impl Inbox for Broken {
        fn starting(&self, _: Address, _: u64) {}

        fn started(&self, _: Address, _: Option<&Arc<Instance>>) {}

        fn waits(&self, _: Address) {}

        fn answer(&self, task: Address, _: Answer) {
            self.0.lock().push(task);
            assert!(self.0.lock().len() > 1, "the first answer");
        }
    }

    #[test]
    fn an_engine_that_panics_once_is_told_what_comes_after_it() {
        let inbox = Arc::new(Broken::default());
        let shared = Shared::new(Arc::clone(&inbox) as Arc<dyn Inbox>);
        let tasks = [1, 2].map(|attempt| {
            let task = TaskRef { task_id: TaskId::from_uuid(Uuid::now_v7()), attempt };
            Address { root: RunId::from_uuid(Uuid::now_v7()), epoch: 1, task }
        });
        for task in tasks {
            let tell = || shared.with(|pool| pool.notices.push(Notice::Answer(task, Answer::Lost(shut_down()))));
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell));
        }
        assert_eq!(*inbox.0.lock(), tasks);
    }
}
