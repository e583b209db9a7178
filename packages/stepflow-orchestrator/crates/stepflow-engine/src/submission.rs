//! What the engine is asked to run, and why it may refuse it.

use std::sync::Arc;

use stepflow_flow::{Capped, Misfit, Plan};
use stepflow_protocol::{BlobId, RunId, Value, content_id};

use crate::ports::{Address, StoreError};

/// A run to be made.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The flow.
    pub plan: Arc<Plan>,
    /// The items' inputs.
    pub inputs: Vec<Value>,
    /// The variables, an object.
    pub variables: Option<Value>,
    /// The overrides from which `plan` was made, for the record.
    pub overrides: Option<Value>,
    /// How many attempts may be open at once.
    pub max_concurrency: Option<u32>,
    /// The caller's name for the request: a second request with this name gets the run of the first one.
    pub idempotency_key: Option<String>,
}

/// The origin of a run that a running step asks for.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who asks.
    pub parent: Parent,
    /// The asker's name for the run. The step's next attempt finds the run by this name, unless the run failed or was
    /// cancelled. Without a name, the next attempt finds it by the request.
    pub key: Option<String>,
    /// Whether the run is a separate root, which continues after the step has ended, and which no later attempt finds.
    pub detached: bool,
}

/// Who asks for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// An open attempt.
    Attempt(Address),
    /// An attempt of this run. It is not known which one.
    Run(RunId),
}

/// Why a run could not be made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Inputs or variables do not fit the flow's schemas. Nothing was created.
    #[error("the input does not fit the flow's schema")]
    InvalidInput(Capped<ItemMisfit>),
    /// The attempt that asks for the run has ended.
    #[error("the execute that asks is not open any more: its step has ended, was cancelled or is tried again")]
    NotOpen,
    /// The step has used the key for a run of another flow.
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
    /// The store did not store the run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has too much to do. Nothing was created.
    #[error("the server has more to do than it can: ask again in a moment")]
    Busy,
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

/// A place where an input does not fit.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemMisfit {
    /// The item, counted from 0; `None` for the variables.
    pub item: Option<usize>,
    /// The place, and what is wrong there.
    pub misfit: Misfit,
}

/// Why a run could not be cancelled.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CancelError {
    /// No such run is running: it has ended, or does not exist.
    #[error("the run is not running")]
    NotRunning,
    /// The store cannot be read, or did not store the cancellation.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

impl Submission {
    /// Distinguishes the requests of an attempt that have no name.
    pub(crate) fn content(&self) -> BlobId {
        let mut text = format!("{}\n", self.plan.flow_id).into_bytes();
        for part in self.inputs.iter().chain(&self.overrides) {
            text.extend_from_slice(part.as_bytes());
            text.push(b'\n');
        }
        content_id(&text)
    }

    /// Whether the inputs, and these variables, fit the flow's schemas.
    ///
    /// # Errors
    /// All places where they do not fit.
    pub(crate) fn check(&self, variables: Option<&Value>) -> Result<(), Error> {
        let mut misfits = Capped::default();
        let mut add = |item: Option<usize>, checked: Result<(), Capped<Misfit>>| {
            misfits.append(checked.err().unwrap_or_default(), |misfit| ItemMisfit { item, misfit });
        };
        add(None, variables.map_or(Ok(()), |variables| self.plan.check_variables(variables)));
        for (item, input) in self.inputs.iter().enumerate() {
            add(Some(item), self.plan.check_input(input));
        }
        if misfits.is_empty() { Ok(()) } else { Err(Error::InvalidInput(misfits)) }
    }
}
