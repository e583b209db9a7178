//! The handle: what the rest of the server says to the engine.

use std::sync::Arc;
use std::time::Duration;

use stepflow_flow::{Backoff, Capped, Misfit, Plan};
use stepflow_protocol::{BlobId, RunId, Value, content_id};
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Command, Driver, Mailbox, PostBox};
use crate::event::{CancelAsked, TaskRef};
use crate::machine::Rules;
use crate::ports::{Clock, ComponentHost, Inbox, Journal, StoreError};
use crate::subscription::Subscription;

/// The engine's settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many attempts of a run tree may be open at once, where a run does not say. Default 100.
    pub max_concurrency: u32,
    /// How often a step goes out again because its worker was lost. Default 3.
    pub transport_max_retries: u32,
    /// The wait before a retry where the flow states none. Default: exponential, 1 s to 10 s, with jitter.
    pub backoff: Backoff,
    /// How long an attempt may take where the step does not say. Default: as long as it wants.
    pub step_timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            max_concurrency: 100,
            transport_max_retries: rules.transport_max_retries,
            backoff: rules.backoff,
            step_timeout: None,
        }
    }
}

/// What the engine needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// Keeps the journals.
    pub journal: Arc<dyn Journal>,
    /// Runs the components.
    pub host: Arc<dyn ComponentHost>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The flow.
    pub plan: Arc<Plan>,
    /// The items' inputs.
    pub inputs: Vec<Value>,
    /// The variables, an object.
    pub variables: Option<Value>,
    /// The overrides that made `plan` of the flow, for the record.
    pub overrides: Option<Value>,
    /// How many attempts may be open at once.
    pub max_concurrency: Option<u32>,
}

/// Where a run comes from that a running step asks for.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who asks.
    pub parent: Parent,
    /// The asker's name for the run: the step's next attempt finds the run that has it, unless that failed or was
    /// cancelled. Without one, the next attempt finds it by what is asked for.
    pub key: Option<String>,
    /// Whether the run is a root of its own, which nobody finds again and which outlives the step.
    pub detached: bool,
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// An open attempt.
    Attempt(TaskRef),
    /// An attempt of this run; which one is not known.
    Run(RunId),
}

/// Why a run could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Inputs or variables do not fit the flow's schemas. Nothing was created.
    #[error("the input does not fit the flow's schema")]
    InvalidInput(Capped<ItemMisfit>),
    /// The attempt that asks for the run is over.
    #[error("the execute that asks is not open any more: its step has ended, was cancelled or is tried again")]
    NotOpen,
    /// The step has given the key to another flow's run.
    #[error("the step has given this `key` to run `{run}` of another flow already: each sub-run needs one of its own")]
    KeyTaken {
        /// The run that has it.
        run: RunId,
    },
    /// There are too many runs above it.
    #[error("sub-runs are nested more than {most} deep: {chain}")]
    TooDeep {
        /// How many there may be.
        most: usize,
        /// The steps above it, by their ids.
        chain: String,
    },
    /// The store did not take the run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

/// A place in which an input does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemMisfit {
    /// The item, counted from 0; `None` for the variables.
    pub item: Option<usize>,
    /// The place and what is wrong there.
    pub misfit: Misfit,
}

/// Why a run could not be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// No such run is running here: it has ended, or never was.
    #[error("the run is not running")]
    NotRunning,
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

/// Runs flows. Cheap to clone; all clones speak to the same engine.
#[derive(Clone)]
pub struct Engine {
    commands: mpsc::UnboundedSender<Command>,
    journal: Arc<dyn Journal>,
}

/// The door for hosts, and the engine's side of it. Made apart because hosts are made before the engine.
#[must_use]
pub fn inbox() -> (Arc<dyn Inbox>, Mailbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(PostBox(sender.clone())), Mailbox { sender, receiver })
}

impl Mailbox {
    /// The engine that will read this mailbox: made before it is started, for those who serve its hosts.
    #[must_use]
    pub fn engine(&self, journal: Arc<dyn Journal>) -> Engine {
        Engine { commands: self.sender.clone(), journal }
    }
}

impl Engine {
    /// Starts an engine on the current tokio runtime.
    #[must_use]
    pub fn start(options: Options, ports: Ports, mailbox: Mailbox) -> Self {
        let engine = mailbox.engine(Arc::clone(&ports.journal));
        tokio::spawn(Driver::new(options, ports, mailbox.sender).run(mailbox.receiver));
        engine
    }

    /// Makes a run. It is durable when this returns.
    ///
    /// # Errors
    /// When inputs or variables do not fit the flow's schemas, or the store cannot take the run.
    pub async fn submit(&self, submission: Submission) -> Result<RunId, Error> {
        let none = Value::object::<&str>([]);
        check(&submission, Some(submission.variables.as_ref().unwrap_or(&none)))?;
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Submit(submission, reply)).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Makes a run that a running step asks for, or finds the one that an earlier attempt of the step has made and that
    /// goes on or succeeded. It is durable when this returns. Without variables of its own it has those of the run above it.
    ///
    /// # Errors
    /// As [`Engine::submit`]; and when the step is not running any more, or the runs are nested too deep.
    pub async fn submit_from(&self, origin: Origin, submission: Submission) -> Result<RunId, Error> {
        // Inherited variables are what they are: a step that misses one says so.
        check(&submission, submission.variables.as_ref())?;
        let (reply, answer) = oneshot::channel();
        let call = call(&submission);
        self.commands.send(Command::SubmitFrom(origin, submission, call, reply)).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Waits for the end of a run, root or not, that is running here; returns at once for any other. `by` is the
    /// attempt that waits: until then it holds no slot of its tree. Returns also when the engine stops.
    pub async fn ended(&self, run: RunId, by: Option<TaskRef>) {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Wait(run, by, reply)).is_ok() {
            let _ = answer.await;
        }
    }

    /// Cancels a run, root or not, with the runs below it. Its end is durable when this returns; its attempts may take
    /// a moment longer.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn cancel(&self, run: RunId, by: &str, reason: Option<&str>) -> Result<(), CancelError> {
        let (reply, answer) = oneshot::channel();
        let asked = CancelAsked { run: None, by: by.to_owned(), reason: reason.map(str::to_owned) };
        self.commands.send(Command::Cancel(run, asked, reply)).map_err(|_| CancelError::Stopped)?;
        answer.await.map_err(|_| CancelError::Stopped)?
    }

    /// What has happened in a tree after `after_seq` and what will, until its root run ends.
    #[must_use]
    pub fn subscribe(&self, root: RunId, after_seq: u64) -> Subscription {
        let (reply, answer) = oneshot::channel();
        // When the engine has stopped, the reply is dropped and the subscription is the journal alone.
        let _ = self.commands.send(Command::Subscribe(root, reply));
        Subscription::new(root, after_seq, Arc::clone(&self.journal), answer)
    }

    /// Stops deciding. Runs that have not ended stay as their journals say.
    pub async fn shutdown(&self) {
        let (reply, done) = oneshot::channel();
        if self.commands.send(Command::Shutdown(reply)).is_ok() {
            let _ = done.await;
        }
    }
}

/// Tells apart what an attempt asks for without naming it.
fn call(submission: &Submission) -> BlobId {
    let mut text = format!("{}\n", submission.plan.flow_id).into_bytes();
    for part in submission.inputs.iter().chain(&submission.overrides) {
        text.extend_from_slice(part.as_bytes());
        text.push(b'\n');
    }
    content_id(&text)
}

/// Whether the inputs, and these variables, fit the flow's schemas.
fn check(submission: &Submission, variables: Option<&Value>) -> Result<(), Error> {
    let plan = &submission.plan;
    let mut misfits = Capped::default();
    let mut add = |item: Option<usize>, checked: Result<(), Capped<Misfit>>| {
        misfits.append(checked.err().unwrap_or_default(), |misfit| ItemMisfit { item, misfit });
    };
    add(None, variables.map_or(Ok(()), |variables| plan.check_variables(variables)));
    for (item, input) in submission.inputs.iter().enumerate() {
        add(Some(item), plan.check_input(input));
    }
    if misfits.is_empty() { Ok(()) } else { Err(Error::InvalidInput(misfits)) }
}
