//! `schema`: the JSON Schemas from which other languages generate their types.

use crate::cli::SchemaOf;
use crate::exit::{Exit, Failure};

pub fn print(what: SchemaOf) -> Result<Exit, Failure> {
    let schema = match what {
        SchemaOf::Protocol => stepflow_protocol::protocol_schema(),
        SchemaOf::Flow => stepflow_flow::schema(),
        SchemaOf::Config => crate::config::schema(),
    };
    crate::document::print(&format!("{schema:#}"))?;
    Ok(Exit::Success)
}
