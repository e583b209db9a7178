//! What a worker host knows, under one lock: the tasks that wait, the process that takes them, and what is to be told
//! to the engine. Every change writes to the worker what can be written now.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, Inbox, Lost, TaskEnvelope};
use stepflow_protocol::{FlowError, Value};
use tokio::sync::{Notify, watch};

use super::connection::Connection;
use super::execute::Verdict;
use super::message::Body;
use super::process::Stdin;
use super::stdio::{LastWords, Outbox};
use crate::components::Components;
use crate::fair::FairQueue;

/// The state behind its lock, and the door through which it speaks.
pub(crate) struct Shared {
    state: Mutex<State>,
    inbox: Arc<dyn Inbox>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) waiting: FairQueue,
    pub(crate) link: Option<Link>,
    /// Of the last handshake.
    pub(crate) components: Option<Arc<Components>>,
    pub(crate) last_words: LastWords,
    /// Since the last answer to an execute.
    pub(crate) crashes: u32,
    said: Vec<Said>,
    speaking: bool,
}

/// Whether tasks go out.
#[derive(Debug, Clone, Default)]
pub(crate) enum Phase {
    /// There is no worker yet, or none at the moment: tasks wait.
    #[default]
    Starting,
    /// Tasks go out.
    Ready,
    /// The worker does not start, or has crashed too often: tasks fail at once with this.
    Refusing(FlowError),
    /// The end.
    ShutDown,
}

/// The conversation with a running process.
pub(crate) struct Link {
    pub(crate) connection: Connection,
    pub(crate) outbox: Outbox<TaskRef>,
    /// The process, as `started` names it.
    pub(crate) instance: Arc<str>,
    pub(crate) capacity: usize,
    /// It takes no more tasks: it is draining, or its pipes are broken.
    pub(crate) closed: bool,
    pub(crate) signals: Signals,
}

/// What wakes the tasks around a link.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// The outbox holds more than the pipe took.
    pub(crate) unwritten: Arc<Notify>,
    /// The outbox may have room again.
    pub(crate) room: Arc<Notify>,
    /// Why nothing more can be said to the worker, or heard from it.
    pub(crate) fault: watch::Sender<Option<String>>,
}

/// A word for the engine.
enum Said {
    Started(TaskRef, Arc<str>),
    Answer(TaskRef, Answer),
    /// An output that is the answer when it fits.
    Output(TaskRef, Route, Value, Arc<Components>),
}

impl Shared {
    pub(crate) fn new(inbox: Arc<dyn Inbox>) -> Self {
        Self { state: Mutex::default(), inbox }
    }

    /// Changes the state, writes to the worker what can be written, and tells the engine what there is to tell.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        state.pump();
        self.speak(state);
        result
    }

    /// Reads the state.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.state.lock())
    }

    /// Tells the engine, without the lock: it may answer with a new offer, and outputs are checked here. One thread speaks at a time, so that
    /// `started` comes before its answer.
    fn speak(&self, mut state: MutexGuard<'_, State>) {
        if state.speaking {
            return;
        }
        state.speaking = true;
        while !state.said.is_empty() {
            let said = std::mem::take(&mut state.said);
            MutexGuard::unlocked(&mut state, || {
                for word in said {
                    match word {
                        Said::Started(task, instance) => self.inbox.started(task, &instance),
                        Said::Answer(task, answer) => self.inbox.answer(task, answer),
                        Said::Output(task, route, output, components) => {
                            self.inbox.answer(task, components.answer(&route.plugin, &route.component, output));
                        }
                    }
                }
            });
        }
        state.speaking = false;
    }
}

impl State {
    /// Takes a task.
    pub(crate) fn offer(&mut self, task: TaskEnvelope) {
        match &self.phase {
            Phase::Starting | Phase::Ready => self.waiting.push(task),
            Phase::Refusing(error) => self.said.push(Said::Answer(task.task, Answer::Failed(error.clone().into()))),
            Phase::ShutDown => self.said.push(Said::Answer(task.task, Answer::Lost(shut_down()))),
        }
    }

    /// Takes back a task that waits; asks the worker to stop one that runs.
    pub(crate) fn cancel(&mut self, task: TaskRef, reason: &str) {
        if self.waiting.remove(task).is_some() {
            self.said.push(Said::Answer(task, Answer::Cancelled));
        } else if let Some(link) = &mut self.link
            && let Some(line) = link.connection.cancel(task, reason)
        {
            link.outbox.push(line, None);
        }
    }

    /// Takes an answer of the worker.
    pub(crate) fn settle(&mut self, id: i64, body: Body) {
        let Some(link) = &mut self.link else { return };
        match link.connection.settle(id, body) {
            None => {}
            Some((task, Verdict::Ended(answer))) => {
                self.crashes = 0;
                self.said.push(match (answer, &self.components) {
                    (Answer::Success(output), Some(components)) if components.validates_outputs() => {
                        Said::Output(task.task, task.route, output, Arc::clone(components))
                    }
                    (answer, _) => Said::Answer(task.task, answer),
                });
            }
            Some((task, Verdict::NotAccepted)) => {
                link.closed = true;
                self.waiting.push(task);
            }
        }
    }

    /// From now on tasks fail, those that wait first.
    pub(crate) fn refuse(&mut self, error: FlowError) {
        for task in self.waiting.drain() {
            self.said.push(Said::Answer(task.task, Answer::Failed(error.clone().into())));
        }
        self.phase = Phase::Refusing(error);
    }

    /// Nothing more goes out; what waits goes back.
    pub(crate) fn shut_down(&mut self) {
        self.phase = Phase::ShutDown;
        for task in self.waiting.drain() {
            self.said.push(Said::Answer(task.task, Answer::Lost(shut_down())));
        }
        if let Some(link) = &mut self.link {
            link.outbox.close();
        }
    }

    /// The process is gone, and with it every attempt that it had.
    pub(crate) fn unlink(&mut self, lost: &Lost) {
        let Some(mut link) = self.link.take() else { return };
        for task in link.connection.abandon() {
            self.said.push(Said::Answer(task.task, Answer::Lost(lost.clone())));
        }
        link.signals.room.notify_waiters();
    }

    /// Writes what waits for the pipe, then tasks while there are slots. A task leaves the fair queue only when its
    /// line can be written at once: what clogs a pipe has no turn left to lose.
    fn pump(&mut self) {
        let Some(link) = &mut self.link else { return };
        loop {
            let (instance, said) = (&link.instance, &mut self.said);
            let flushed = link.outbox.flush(|task| said.push(Said::Started(task, Arc::clone(instance))));
            if let Err(error) = flushed {
                return link.fail(format!("it does not read its stdin: {error}"));
            }
            let free = matches!(self.phase, Phase::Ready)
                && !link.closed
                && link.outbox.is_idle()
                && link.connection.open() < link.capacity;
            let Some(task) = free.then(|| self.waiting.pop()).flatten() else { break };
            let receipt = task.task;
            let line = link.connection.execute(task);
            link.outbox.push(line, Some(receipt));
        }
        if !link.outbox.is_idle() {
            link.signals.unwritten.notify_one();
        }
    }
}

impl Link {
    pub(crate) fn new(instance: Arc<str>, stdin: Arc<Stdin>) -> Self {
        Self {
            connection: Connection::default(),
            outbox: Outbox::new(stdin),
            instance,
            capacity: 0,
            closed: false,
            signals: Signals::default(),
        }
    }

    /// Nothing more can be said or heard; the first reason counts.
    pub(crate) fn fail(&mut self, fault: String) {
        self.closed = true;
        self.outbox.close();
        self.signals.fault.send_if_modified(|known| known.is_none() && known.replace(fault).is_none());
    }
}

/// What becomes of a task when the host is shut down: it is nobody's fault, and another host may take it.
pub(crate) fn shut_down() -> Lost {
    let error = FlowError::new(stepflow_protocol::ErrorKind::Unreachable, "the worker was shut down with its server");
    Lost { error, spends: false, back_off: true }
}
