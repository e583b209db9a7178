//! `components list`: what flows can call here.

use std::path::Path;
use std::time::Duration;

use super::workers::{self, Started};
use crate::catalog::{Catalog, Listed};
use crate::cli::{ListComponentsArgs, ListFormat};
use crate::config;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::progress::Terminal;
use crate::service::{Needs, Service};
use crate::visible::visible;

/// How long a worker may take to end by itself; somebody waits for the prompt.
const GRACE: Duration = Duration::from_millis(500);

/// Lists the components of all plugins. One that does not start hides nothing of the others.
pub async fn list(args: ListComponentsArgs, terminal: Terminal) -> Result<Exit, Failure> {
    // As for a flow in the current folder, with a `components.py` beside it.
    let here = Path::new("flow.yaml");
    let config = config::find(&args.components, Some(here))?;
    config.refuse_what_is_not_built()?;
    let mut interrupts = workers::listen()?;
    let service = Service::new(&config, GRACE).map_err(|error| Failure::outside(error.to_string()))?;
    let started = workers::start(&service, Needs::Everything, false, &terminal, &mut interrupts).await;
    let catalog = service.catalog();
    workers::end(&service, false, &terminal, &mut interrupts).await;
    if matches!(started, Started::Interrupted) {
        return Ok(Exit::Interrupted);
    }
    let catalog = if args.schemas { catalog } else { catalog.without_schemas() };
    document::print(&match args.format {
        ListFormat::Table => visible(&table(&catalog)).into_owned(),
        ListFormat::Json => serde_json::to_string_pretty(&catalog)
            .map_err(|error| Failure::outside(format!("cannot print the components: {error}")))?,
    })?;
    match started {
        Started::Without(errors) => Err(workers::failure(&errors)),
        _ => Ok(Exit::Success),
    }
}

fn table(catalog: &Catalog) -> String {
    let width = |cell: fn(&Listed) -> &str, head: &str| {
        let cells = catalog.components.iter().map(|listed| cell(listed).chars().count());
        cells.chain([head.len()]).max().unwrap_or_default()
    };
    let paths = width(|listed| &listed.info.component, "COMPONENT");
    let plugins = width(|listed| &listed.plugin, "PLUGIN");
    let mut rows = vec![format!("{:<paths$}  {:<plugins$}  DESCRIPTION", "COMPONENT", "PLUGIN")];
    for listed in &catalog.components {
        let description = listed.info.description.as_deref().unwrap_or_default();
        let first = description.lines().next().unwrap_or_default();
        let row = format!("{:<paths$}  {:<plugins$}  {first}", listed.info.component, listed.plugin);
        rows.push(row.trim_end().to_owned());
        let schemas = [("input", &listed.info.input_schema), ("output", &listed.info.output_schema)];
        rows.extend(schemas.iter().filter_map(|(name, schema)| Some(format!("  {name:<6}  {}", schema.as_ref()?))));
    }
    rows.join("\n")
}
