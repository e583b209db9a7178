//! Routes without what they lead to: enough to know whether they can be followed, and where each path leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, ComponentHost, Inbox, Instance, Purity, Target, TaskEnvelope};
use stepflow_hosts::{RouteError, Router, Rule};
use stepflow_protocol::{FlowError, Value};

/// A router over plugins that are only names.
///
/// # Errors
/// The first route that cannot be followed.
pub fn routing(
    plugins: impl IntoIterator<Item = String>,
    routes: &[(String, Vec<Rule>)],
) -> Result<Router, RouteError> {
    let names: BTreeMap<String, Arc<dyn ComponentHost>> =
        plugins.into_iter().map(|name| (name, Arc::new(Nobody) as Arc<dyn ComponentHost>)).collect();
    Router::new(names, routes.iter().cloned(), Arc::new(Nobody))
}

/// Stands where a plugin will be. Serves every path and is never offered a task.
struct Nobody;

impl ComponentHost for Nobody {
    fn resolve(&self, path: &str, _input: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: String::new(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, _task: TaskEnvelope) {}

    fn cancel(&self, _route: &Route, _task: TaskRef, _reason: &str) {}
}

impl Inbox for Nobody {
    fn started(&self, _task: TaskRef, _instance: Option<&Arc<Instance>>) {}

    fn waits(&self, _task: TaskRef) {}

    fn answer(&self, _task: TaskRef, _answer: Answer) {}
}
