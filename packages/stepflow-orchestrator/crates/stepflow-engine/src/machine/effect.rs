//! What is owed to the world: found in the state, never kept twice.

use jiff::Timestamp;
use stepflow_protocol::RunId;

use crate::event::{Reason, Route, StepRef, TaskRef, ValueRef};

/// The event that made it so and, where one event owes several effects, their order.
pub(super) type OwedKey = (u64, u32);

/// Something that must be done outside, once the event that decided it is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Offer the attempt to its host.
    Offer {
        /// The attempt.
        task: TaskRef,
        /// The step.
        step: StepRef,
        /// Its host.
        route: Route,
        /// Its input.
        input: ValueRef,
        /// Why it was scheduled.
        reason: Reason,
    },
    /// Come back to the step at this time.
    Wake {
        /// The step.
        step: StepRef,
        /// The time.
        due_at: Timestamp,
    },
    /// Tell the host that the attempt's answer is not needed any more.
    Cancel {
        /// The attempt.
        task: TaskRef,
        /// Its host.
        route: Route,
    },
    /// End the run at this time.
    Deadline {
        /// The run.
        run: RunId,
        /// The time.
        due_at: Timestamp,
    },
}
