//! How addresses are reached, by workers' connections and by whatever else calls out.

mod connector;

pub(crate) use connector::{Connector, connector, plain, refusal};

/// An error with its causes: the outermost says least.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
