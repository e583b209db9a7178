//! Routes without the plugins that they lead to. This is enough to check the routes and to know where each path leads.

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_engine::event::{Instance, Route};
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
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

    fn cancel(&self, _route: &Route, _task: Address, _reason: &str) {}
}

impl Inbox for Placeholder {
    fn starting(&self, _: Address, _: u64) {}

    fn started(&self, _task: Address, _instance: Option<&Arc<Instance>>) {}

    fn waits(&self, _task: Address) {}

    fn answer(&self, _task: Address, _answer: Answer) {}
}
