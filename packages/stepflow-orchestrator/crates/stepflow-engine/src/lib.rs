//! Runs flows: decides what happens next, records it, and has it carried out.
//!
//! [`machine`] is pure: `decide` and `fold` over a journal of [`event`]s. [`Engine`] drives machines: it appends their
//! events to the journal and only then carries out what is owed, through the [`ports`].

mod driver;
mod engine;
pub mod event;
pub mod machine;
pub mod ports;
mod subscription;

pub use driver::Mailbox;
pub use engine::{CancelError, Engine, Error, ItemMisfit, Options, Origin, Parent, Ports, Submission, inbox};
pub use subscription::{Notice, Subscription};
