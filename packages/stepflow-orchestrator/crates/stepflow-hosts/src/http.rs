//! How the server connects to addresses: for workers and for everything else that it calls.

mod connector;

pub(crate) use connector::{Connector, connector, plain, refusal};

/// An error with its causes: the outermost one says least.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
