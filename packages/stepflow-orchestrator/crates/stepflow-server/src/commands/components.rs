//! `components list`: the components that flows can call.

use super::listing::{self, Row};
use super::workers::{self, Started};
use crate::catalog::{Catalog, ListedComponent};
use crate::cli::ListComponentsArgs;
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;
use crate::service::Needs;
use crate::store::Store;

/// Lists the components of all plugins. When a plugin does not start, those of the others are still listed.
pub async fn list(args: ListComponentsArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let config = listing::config(&args.components)?;
    let mut interrupts = workers::listen()?;
    let service = workers::service(&config, Store::default())?;
    let started = workers::start(&service, Needs::Everything, false, &terminal, &mut interrupts).await;
    let catalog = service.catalog();
    workers::stop(&service, false, &terminal, &mut interrupts).await;
    if matches!(started, Started::Interrupted) {
        return Ok(Exit::Interrupted);
    }
    let catalog = if args.schemas { catalog } else { catalog.without_schemas() };
    listing::print(&catalog, args.format, table)?;
    match started {
        Started::Failed(errors) => Err(workers::failure(&errors)),
        _ => Ok(Exit::Success),
    }
}

fn table(catalog: &Catalog) -> String {
    listing::table(&["COMPONENT", "PLUGIN", "DESCRIPTION"], catalog.components.iter().map(row_of).collect())
}

fn row_of(listed: &ListedComponent) -> Row {
    let description = listed.info.description.as_deref().unwrap_or_default();
    let first = description.lines().next().unwrap_or_default();
    let schemas = [("input", &listed.info.input_schema), ("output", &listed.info.output_schema)];
    Row {
        cells: vec![listed.info.component.clone(), listed.plugin.clone(), first.to_owned()],
        notes: schemas.iter().filter_map(|(name, schema)| Some(format!("  {name:<6}  {}", schema.as_ref()?))).collect(),
    }
}
