//! The current state of the plugins of a configuration and of their workers.

use serde::Serialize;
use stepflow_hosts::{Health, InstanceState, InstanceStatus, WorkerHost};

/// How many of a worker's last lines are shown.
const SHOWN_LINES: usize = 20;

/// All plugins.
#[derive(Debug, Serialize)]
pub struct Plugins {
    /// By name.
    pub plugins: Vec<Listed>,
}

/// A plugin in the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its name in the configuration.
    pub plugin: String,
    /// The type in the configuration.
    pub r#type: &'static str,
    /// How the server communicates with its workers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// `ready`, `starting`, `unhealthy` or `shutDown`
    pub state: &'static str,
    /// Why it takes no tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its worker last wrote to stderr, when it takes no tasks.
    #[serde(rename = "lastWords", skip_serializing_if = "Option::is_none")]
    pub stderr_tail: Option<String>,
    /// How many components it has listed.
    pub components: usize,
    /// Its workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<ListedWorker>,
}

/// A worker of a plugin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedWorker {
    /// Its name in the journal.
    pub name: String,
    /// `pid 4711`, or its URL.
    pub address: String,
    /// `ready`, `starting`, `reconnecting`, `leaving` or `lost`
    pub state: &'static str,
    /// How many tasks it can have at the same time.
    pub capacity: usize,
    /// How many tasks it has now.
    pub open: usize,
    /// The version of its code, if it tells one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Listed {
    /// A plugin that needs no worker.
    #[must_use]
    pub fn inside(plugin: &str, r#type: &'static str, components: usize) -> Self {
        Self {
            plugin: plugin.to_owned(),
            r#type,
            transport: None,
            state: "ready",
            reason: None,
            stderr_tail: None,
            components,
            instances: Vec::new(),
        }
    }

    /// The plugin of a worker host.
    #[must_use]
    pub fn of(plugin: &str, r#type: &'static str, host: &WorkerHost) -> Self {
        let (state, reason) = match host.health() {
            Health::Ready => ("ready", None),
            Health::Starting => ("starting", None),
            Health::Awaited(reason) => ("starting", Some(first_line(&reason))),
            Health::Down(reason) => ("unhealthy", Some(first_line(&reason))),
            Health::ShutDown => ("shutDown", None),
        };
        Self {
            transport: Some(host.transport()),
            state,
            stderr_tail: reason.is_some().then(|| last_lines(&host.stderr_tail())).filter(|tail| !tail.is_empty()),
            reason,
            instances: host.instances().into_iter().map(ListedWorker::from).collect(),
            ..Self::inside(plugin, r#type, host.components().len())
        }
    }
}

impl From<InstanceStatus> for ListedWorker {
    fn from(status: InstanceStatus) -> Self {
        Self {
            name: status.name,
            address: status.address,
            state: match status.state {
                InstanceState::Starting => "starting",
                InstanceState::Ready => "ready",
                InstanceState::Reconnecting => "reconnecting",
                InstanceState::Leaving => "leaving",
                InstanceState::Lost => "lost",
            },
            capacity: status.capacity,
            open: status.open,
            version: status.version,
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_end_matches([':', ';']).to_owned()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
