//! What `decide` gets besides its input.

use super::agenda::Agenda;
use super::surroundings::Surroundings;
use super::waiting::Waiting;

/// Everything that a decision needs and that is not in the state.
pub struct Given<'a> {
    /// What is to be decided next. It is computed from the state, and kept because computing it again costs as much as
    /// the whole flow.
    pub agenda: &'a mut Agenda,
    /// The attempts that hold no slot because they wait for runs.
    pub waiting: &'a Waiting,
    /// Time, ids, random numbers, routes, values and plans.
    pub world: &'a mut dyn Surroundings,
}
