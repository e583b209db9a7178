//! What `decide` is lent.

use super::agenda::Agenda;
use super::surroundings::Surroundings;
use super::waiting::Waiting;

/// All that a decision needs and that is not in the state.
pub struct Given<'a> {
    /// What is to be decided next: derived from the state, kept because deriving it anew costs the whole flow.
    pub agenda: &'a mut Agenda,
    /// The attempts that hold no slot because they wait for runs.
    pub waiting: &'a Waiting,
    /// Time, ids, chance, routes, values and plans.
    pub world: &'a mut dyn Surroundings,
}
