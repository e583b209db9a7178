//! The handle by which the rest of the server uses the engine.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use stepflow_protocol::{RunId, Value};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::command::{Command, Doors};
use crate::driver::Driver;
use crate::event::CancelAsked;
use crate::options::{Options, Ports};
use crate::ports::{Address, Clock, Inbox, Journal};
use crate::shard::Shards;
use crate::submission::{CancelError, Error, Origin, Parent, Submission};
use crate::subscription::Subscription;

/// How many submits may wait for each driver.
const WAITING_SUBMITS: usize = 1_024;

/// How long a submit waits for its turn.
const SUBMIT_PATIENCE: Duration = Duration::from_secs(10);

/// Runs flows. Cheap to clone; all clones speak to the same engine.
#[derive(Clone)]
pub struct Engine {
    doors: Doors,
    /// The drivers hold it while they run.
    journal: Weak<dyn Journal>,
    clock: Arc<dyn Clock>,
    next: Arc<AtomicUsize>,
    submits: Arc<Semaphore>,
    taking_over: Arc<AtomicUsize>,
}

/// The engine's side of the hosts' inbox.
pub struct Mailbox {
    doors: Doors,
    /// How many drivers do not know yet which runs were left open.
    taking_over: Arc<AtomicUsize>,
    queues: Vec<mpsc::UnboundedReceiver<Command>>,
}

/// The inbox for hosts, and the engine's side of it. They are made first, because hosts are made before the engine.
/// `drivers` is the number of tasks that the engine will run: more than one for each core is not useful.
#[must_use]
pub fn inbox(drivers: u8) -> (Arc<dyn Inbox>, Mailbox) {
    let (senders, queues): (Vec<_>, Vec<_>) = (0..drivers.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
    let doors = Doors(senders.into());
    let taking_over = Arc::new(AtomicUsize::new(queues.len()));
    (Arc::new(doors.clone()), Mailbox { doors, taking_over, queues })
}

impl Mailbox {
    /// The engine that will read this mailbox. It is made before it is started, for code that serves its hosts.
    #[must_use]
    pub fn engine(&self, journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Engine {
        let submits = Arc::new(Semaphore::new(WAITING_SUBMITS * self.queues.len()));
        let journal = Arc::downgrade(&journal);
        let taking_over = Arc::clone(&self.taking_over);
        Engine { doors: self.doors.clone(), journal, clock, next: Arc::default(), submits, taking_over }
    }
}

impl Engine {
    /// Starts an engine on the current tokio runtime. It takes over what the journal has of runs that have not ended,
    /// unless the options say otherwise.
    #[must_use]
    pub fn start(options: Options, ports: Ports, mailbox: Mailbox) -> Self {
        let engine = mailbox.engine(Arc::clone(&ports.journal), Arc::clone(&ports.clock));
        let of = u8::try_from(mailbox.queues.len()).unwrap_or(u8::MAX);
        let senders = mailbox.doors.0.iter().cloned();
        for ((number, queue), sender) in (0..of).zip(mailbox.queues).zip(senders) {
            let shards = Shards::of_driver(number, of);
            let taking_over = Arc::clone(&engine.taking_over);
            let driver = Driver::new(&options, ports.clone(), shards, sender, engine.doors.clone(), taking_over);
            tokio::spawn(driver.run(queue));
        }
        engine
    }

    /// Whether it knows all runs that an earlier engine left open. Those that have something to do go on then.
    #[must_use]
    pub fn has_taken_over(&self) -> bool {
        self.taking_over.load(Ordering::Acquire) == 0
    }

    /// Makes a run. It is durable when this returns.
    ///
    /// # Errors
    /// When inputs or variables do not fit the flow's schemas, the store cannot take the run, or there is more to do
    /// than the engine can.
    pub async fn submit(&self, submission: Submission) -> Result<RunId, Error> {
        let none = Value::object::<&str>([]);
        submission.check(Some(submission.variables.as_ref().unwrap_or(&none)))?;
        let turn = tokio::select! {
            turn = Arc::clone(&self.submits).acquire_owned() => turn.map_err(|_| Error::Stopped)?,
            () = self.clock.sleep_until(self.clock.elapsed() + SUBMIT_PATIENCE) => return Err(Error::Busy),
        };
        let (reply, answer) = oneshot::channel();
        let driver = self.next.fetch_add(1, Ordering::Relaxed) % self.doors.0.len();
        let command = Command::Submit(Box::new(submission), reply, Some(turn));
        self.doors.0[driver].send(command).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Makes a run that a running step asks for, or finds the run that an earlier attempt of the step has made, if that
    /// has not failed. It is durable when this returns. If it has no variables, it gets those of the run above it.
    ///
    /// # Errors
    /// As [`Engine::submit`]; and when the step is not running any more, or the runs are nested too deep.
    pub async fn submit_from(&self, origin: Origin, submission: Submission) -> Result<RunId, Error> {
        // Inherited variables are not checked again: if a step misses one, it fails.
        submission.check(submission.variables.as_ref())?;
        let above = match origin.parent {
            Parent::Attempt(address) => address.root,
            Parent::Run(run) => run,
        };
        let (reply, answer) = oneshot::channel();
        let content = submission.content();
        let command = Command::SubmitFrom(origin, Box::new(submission), content, reply);
        self.doors.of(above).send(command).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Waits for the end of a run, root or not. Returns at once if it has ended or is not known. `by` is the attempt
    /// that waits: it holds no slot of its tree meanwhile, and this returns when there is a slot for it again. Returns
    /// also when the engine stops.
    pub async fn ended(&self, run: RunId, by: Option<Address>) {
        let (reply, answer) = oneshot::channel();
        // First, because another driver may tell at once that the run has ended.
        if let Some(by) = by {
            self.doors.say(by.root, Command::Blocked(by));
        }
        let told = self.doors.of(run).send(Command::Wait(run, by.map(|by| (by.root, by.task)), reply)).is_ok();
        if told {
            let _ = answer.await;
        }
    }

    /// Cancels a run, root or not, with the runs below it. Its end is durable when this returns; its attempts may take
    /// a moment longer.
    ///
    /// # Errors
    /// When it is not running, or the store does not take it.
    pub async fn cancel(&self, run: RunId, by: &str, reason: Option<&str>) -> Result<(), CancelError> {
        let (reply, answer) = oneshot::channel();
        let asked = CancelAsked { run: None, by: by.to_owned(), reason: reason.map(str::to_owned) };
        self.doors.of(run).send(Command::Cancel(run, asked, reply)).map_err(|_| CancelError::Stopped)?;
        answer.await.map_err(|_| CancelError::Stopped)?
    }

    /// The events of a tree after `after_seq`, also those in the future, until its root run ends.
    #[must_use]
    pub fn subscribe(&self, root: RunId, after_seq: u64) -> Subscription {
        Subscription::new(self.doors.of(root).clone(), Weak::clone(&self.journal), root, after_seq)
    }

    /// Lets the attempts end that hosts have, and offers no others: whoever takes over does. Returns when no host has
    /// one.
    pub async fn drain(&self) {
        self.tell_all(Command::Drain).await;
    }

    /// Stops deciding and hands over: what was decided is stored, and whoever takes over spends nothing for it. Runs that
    /// have not ended stay as their journals say. Nothing of the engine holds the store when this returns.
    pub async fn shutdown(&self) {
        self.tell_all(Command::Shutdown).await;
    }

    /// Tells all drivers, and waits until they have done it.
    async fn tell_all(&self, command: impl Fn(oneshot::Sender<()>) -> Command) {
        let telling = self.doors.0.iter().map(|door| {
            let (reply, done) = oneshot::channel();
            let told = door.send(command(reply)).is_ok();
            async move {
                if told {
                    let _ = done.await;
                }
            }
        });
        futures_util::future::join_all(telling).await;
    }
}
