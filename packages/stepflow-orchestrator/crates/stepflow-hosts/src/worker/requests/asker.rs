//! Finds which of a worker's open executes sent a request.

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::Address;
use stepflow_engine::{Error, Origin, Parent};
use stepflow_protocol::{ObservabilityContext, RpcError, RunId, TaskId, Value};

use super::{Requests, id_in, invalid, of_runs};
use crate::served::RunsError;

/// The execute that sent a request, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    parent: Option<Parent>,
    /// Whether it names an attempt that no worker has any more.
    is_over: bool,
}

impl Asker {
    /// The origin of a run that it asks for.
    ///
    /// # Errors
    /// When the attempt that it names is over.
    pub(super) fn origin(self, key: Option<String>, detached: bool) -> Result<Option<Origin>, RpcError> {
        if self.is_over {
            return Err(of_runs(RunsError::Refused(Error::NotOpen.to_string())));
        }
        Ok(self.parent.map(|parent| Origin { parent, key, detached }))
    }

    /// Whether it is known which attempt asks, or was.
    pub(super) fn names_attempt(self) -> bool {
        self.is_over || self.attempt().is_some()
    }

    /// The attempt, where it is known.
    pub(super) fn attempt(self) -> Option<Address> {
        match self.parent {
            Some(Parent::Attempt(task)) => Some(task),
            Some(Parent::Run(_)) | None => None,
        }
    }
}

impl Requests<'_> {
    /// Finds the execute that sent a request: by the task and attempt in the params, else by what a legacy worker says
    /// about its place. If several executes of one run fit, only the run is known.
    pub(super) fn asker(
        &self,
        params: &Value,
        attempt: Option<u32>,
        place: Option<&ObservabilityContext>,
    ) -> Result<Asker, RpcError> {
        match (id_in::<TaskId>(params, "taskId")?, attempt) {
            (Some(task_id), Some(attempt)) => {
                let address = self.executes.address(TaskRef { task_id, attempt });
                Ok(Asker { parent: address.map(Parent::Attempt), is_over: address.is_none() })
            }
            (None, None) => Ok(Asker { parent: self.guessed(place), is_over: false }),
            _ => Err(invalid("`taskId` and `attempt` go together: one of them is missing")),
        }
    }

    fn guessed(&self, place: Option<&ObservabilityContext>) -> Option<Parent> {
        let run = place.and_then(|place| place.run_id.as_ref()?.parse::<RunId>().ok());
        let step = place.and_then(|place| place.step_id.as_ref());
        let mut open = self.executes.open();
        open.retain(|open| run.is_none_or(|run| run == open.run_id) && step.is_none_or(|step| *step == open.step_id));
        match open.as_slice() {
            [] => run.map(Parent::Run),
            [only] => Some(Parent::Attempt(only.task)),
            [first, others @ ..] => {
                others.iter().all(|other| other.run_id == first.run_id).then_some(Parent::Run(first.run_id))
            }
        }
    }
}
