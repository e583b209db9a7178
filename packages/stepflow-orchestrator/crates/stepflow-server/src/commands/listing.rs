//! What the commands have in common that list something: `components list` and `plugins list`.

use std::path::Path;

use serde::Serialize;

use crate::cli::{ComponentArgs, ListFormat};
use crate::config::{self, Config};
use crate::document;
use crate::exit::Failure;
use crate::visible::visible;

/// The configuration that a flow in the current folder would have.
///
/// # Errors
/// When it cannot be read, is wrong, or asks for something that is not built.
pub fn config(args: &ComponentArgs) -> Result<Config, Failure> {
    let config = config::find(args, Some(Path::new("flow.yaml")))?;
    config.refuse_what_is_not_built()?;
    Ok(config)
}

/// Prints a list in the format that was asked for.
///
/// # Errors
/// When stdout cannot be written.
pub fn print<L: Serialize>(list: &L, format: ListFormat, table: fn(&L) -> String) -> Result<(), Failure> {
    document::print(&match format {
        ListFormat::Table => visible(&table(list)).into_owned(),
        ListFormat::Json => serde_json::to_string_pretty(list)
            .map_err(|error| Failure::outside(format!("cannot print the list: {error}")))?,
    })
}
