//! `schema`: JSON Schemas, for example to generate types for other languages.

use crate::cli::SchemaKind;
use crate::exit::{Exit, Failure};

pub fn print(what: SchemaKind) -> Result<Exit, Failure> {
    let schema = match what {
        SchemaKind::Protocol => stepflow_protocol::protocol_schema(),
        SchemaKind::Flow => stepflow_flow::schema(),
        SchemaKind::Config => crate::config::schema(),
    };
    crate::document::print(&format!("{schema:#}"))?;
    Ok(Exit::Success)
}
