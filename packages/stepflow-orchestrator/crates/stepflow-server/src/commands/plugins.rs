//! `plugins list`: the plugins and the state of their workers.

use super::listing::{self, Row};
use super::workers::{self, Started};
use crate::cli::ListPluginsArgs;
use crate::exit::{Exit, Failure};
use crate::plugins::{Listed, ListedWorker, Plugins};
use crate::progress::Terminal;
use crate::service::Needs;
use crate::store::Store;

const HEAD: [&str; 8] = ["PLUGIN", "TYPE", "TRANSPORT", "STATE", "CAPACITY", "OPEN", "VERSION", "COMPONENTS"];

/// Lists the plugins. For workers that do not start, the reason is listed.
pub async fn list(args: ListPluginsArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let config = listing::config(&args.components)?;
    let mut interrupts = workers::listen()?;
    let service = workers::service(&config, Store::default())?;
    let started = workers::start(&service, Needs::Everything, false, &terminal, &mut interrupts).await;
    let started = match started {
        Started::Interrupted => Started::Interrupted,
        started => tokio::select! {
            () = service.all_started() => started,
            () = interrupts.next() => Started::Interrupted,
        },
    };
    let plugins = service.plugins();
    workers::stop(&service, false, &terminal, &mut interrupts).await;
    if matches!(started, Started::Interrupted) {
        return Ok(Exit::Interrupted);
    }
    listing::print(&plugins, args.format, table)?;
    match started {
        Started::Failed(errors) => Err(workers::failure(&errors)),
        _ => Ok(Exit::Success),
    }
}

/// One row for each plugin. Below it are the reason why it takes no tasks, and one row for each of its workers.
fn table(plugins: &Plugins) -> String {
    listing::table(&HEAD, plugins.plugins.iter().flat_map(rows_of).collect())
}

/// The row of a plugin, and those of its workers.
fn rows_of(listed: &Listed) -> Vec<Row> {
    let sum = |count: fn(&ListedWorker) -> usize| {
        let workers = listed.transport.is_some();
        if workers { listed.instances.iter().map(count).sum::<usize>().to_string() } else { String::new() }
    };
    let mut versions: Vec<&str> = listed.instances.iter().filter_map(|instance| instance.version.as_deref()).collect();
    versions.dedup();
    let plugin = [
        listed.plugin.clone(),
        listed.r#type.to_owned(),
        listed.transport.unwrap_or_default().to_owned(),
        listed.state.to_owned(),
        sum(|instance| instance.capacity),
        sum(|instance| instance.open),
        versions.join(", "),
        listed.components.to_string(),
    ];
    let stderr = listed.stderr_tail.iter().flat_map(|tail| tail.lines()).map(|line| format!("  | {line}"));
    let notes = listed.reason.iter().map(|reason| format!("  {reason}")).chain(stderr).collect();
    let plugin = Row { cells: plugin.to_vec(), notes };
    [plugin].into_iter().chain(listed.instances.iter().map(row_of)).collect()
}

fn row_of(instance: &ListedWorker) -> Row {
    let cells = vec![
        format!("  {}", instance.address),
        String::new(),
        String::new(),
        instance.state.to_owned(),
        instance.capacity.to_string(),
        instance.open.to_string(),
        instance.version.clone().unwrap_or_default(),
    ];
    Row { cells, notes: Vec::new() }
}
