//! Routes without the plugins that they lead to. This is enough to check the routes and to know where each path leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, ComponentHost, Inbox, Instance, Purity, Target, TaskEnvelope};
use stepflow_flow::subflow::{self, Takes};
use stepflow_hosts::{RouteError, Router, Rule};
use stepflow_protocol::{FlowError, Value};

/// A router for plugins that are only names. Each comes with whether it is the one with the builtins.
///
/// # Errors
/// The first route that is wrong.
pub fn routing(
    plugins: impl IntoIterator<Item = (String, bool)>,
    routes: &[(String, Vec<Rule>)],
) -> Result<Router, RouteError> {
    let names: BTreeMap<String, Arc<dyn ComponentHost>> = plugins
        .into_iter()
        .map(|(name, builtin)| (name, Arc::new(Placeholder { builtin }) as Arc<dyn ComponentHost>))
        .collect();
    Router::new(names, routes.iter().cloned(), Arc::new(Placeholder { builtin: false }))
}

/// Takes the place of a plugin. It serves every path and never gets a task.
struct Placeholder {
    builtin: bool,
}

impl ComponentHost for Placeholder {
    fn resolve(&self, path: &str, _input: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: String::new(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn takes_flow(&self, path: &str) -> Option<Takes> {
        subflow::of_builtin(path).filter(|_| self.builtin)
    }

    fn offer(&self, _task: TaskEnvelope) {}

    fn cancel(&self, _route: &Route, _task: TaskRef, _reason: &str) {}
}

impl Inbox for Placeholder {
    fn started(&self, _task: TaskRef, _instance: Option<&Arc<Instance>>) {}

    fn waits(&self, _task: TaskRef) {}

    fn answer(&self, _task: TaskRef, _answer: Answer) {}
}
