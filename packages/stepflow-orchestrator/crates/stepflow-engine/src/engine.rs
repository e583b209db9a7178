//! The handle: what the rest of the server says to the engine.

use std::sync::Arc;
use std::time::Duration;

use stepflow_flow::{Backoff, Misfit, Plan};
use stepflow_protocol::{RunId, Value};
use tokio::sync::{mpsc, oneshot};

use crate::driver::{Command, Driver, Mailbox, PostBox};
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

/// Why a run could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Inputs or variables do not fit the flow's schemas. Nothing was created.
    #[error("the input does not fit the flow's schema")]
    InvalidInput(Vec<ItemMisfit>),
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

impl Engine {
    /// Starts an engine on the current tokio runtime.
    #[must_use]
    pub fn start(options: Options, ports: Ports, mailbox: Mailbox) -> Self {
        let commands = mailbox.sender.clone();
        let journal = Arc::clone(&ports.journal);
        tokio::spawn(Driver::new(options, ports, mailbox.sender).run(mailbox.receiver));
        Self { commands, journal }
    }

    /// Makes a run. It is durable when this returns.
    ///
    /// # Errors
    /// When inputs or variables do not fit the flow's schemas, or the store cannot take the run.
    pub async fn submit(&self, submission: Submission) -> Result<RunId, Error> {
        let misfits = misfits(&submission);
        if !misfits.is_empty() {
            return Err(Error::InvalidInput(misfits));
        }
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Submit(submission, reply)).map_err(|_| Error::Stopped)?;
        Ok(answer.await.map_err(|_| Error::Stopped)??)
    }

    /// Cancels a run with its sub-runs. Its end is durable when this returns; its attempts may take a moment longer.
    ///
    /// # Errors
    /// When it is not running.
    pub async fn cancel(&self, run: RunId, by: &str, reason: Option<&str>) -> Result<(), CancelError> {
        let (reply, answer) = oneshot::channel();
        let asked = crate::event::CancelAsked { by: by.to_owned(), reason: reason.map(str::to_owned) };
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

fn misfits(submission: &Submission) -> Vec<ItemMisfit> {
    let plan = &submission.plan;
    let of = |item: Option<usize>, checked: Result<(), Vec<Misfit>>| {
        checked.err().into_iter().flatten().map(move |misfit| ItemMisfit { item, misfit })
    };
    let variables = submission.variables.clone().unwrap_or_else(|| Value::object::<&str>([]));
    let mut found: Vec<ItemMisfit> = of(None, plan.check_variables(&variables)).collect();
    for (item, input) in submission.inputs.iter().enumerate() {
        found.extend(of(Some(item), plan.check_input(input)));
    }
    found
}
