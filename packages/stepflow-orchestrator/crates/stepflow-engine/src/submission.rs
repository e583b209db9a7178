//! What the engine is asked to run, and why it may refuse.

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
    /// The overrides that made `plan` of the flow, for the record.
    pub overrides: Option<Value>,
    /// How many attempts may be open at once.
    pub max_concurrency: Option<u32>,
    /// The caller's name for the request: a second request with this name gets the run of the first one.
    pub idempotency_key: Option<String>,
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
    Attempt(Address),
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
    /// More was asked of the engine than it can do in time. Nothing was created.
    #[error("the server has more to do than it can: ask again in a moment")]
    Busy,
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
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CancelError {
    /// No such run is running: it has ended, or never was.
    #[error("the run is not running")]
    NotRunning,
    /// The store cannot be read, or did not take the cancellation.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine has been shut down.
    #[error("the engine has stopped")]
    Stopped,
}

impl Submission {
    /// Tells apart what an attempt asks for without naming it.
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
    /// Every place in which they do not.
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
