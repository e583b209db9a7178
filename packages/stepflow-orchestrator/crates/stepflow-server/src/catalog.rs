//! The components of all plugins, with the paths that flows use for them.

use schemars::JsonSchema;
use serde::Serialize;
use stepflow_engine::event::Route;
use stepflow_hosts::{BuiltinHost, MockHost, Router, WorkerHost};
use stepflow_protocol::ComponentInfo;

/// A plugin that can list its components.
pub trait Serves: Send + Sync {
    /// Its components, with the plugin's own paths; empty as long as they are not known.
    fn components(&self) -> Vec<ComponentInfo>;
}

impl Serves for BuiltinHost {
    fn components(&self) -> Vec<ComponentInfo> {
        Self::components(self)
    }
}

impl Serves for WorkerHost {
    fn components(&self) -> Vec<ComponentInfo> {
        Self::components(self)
    }
}

impl Serves for MockHost {
    fn components(&self) -> Vec<ComponentInfo> {
        Self::components(self)
    }
}

/// All components of all plugins.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    /// The components that some route leads to, sorted by path.
    pub components: Vec<ListedComponent>,
    /// Whether every plugin has listed its components.
    pub complete: bool,
    /// The plugins that have not.
    pub failed_plugins: Vec<FailedPlugin>,
}

/// A component in the list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListedComponent {
    /// The component, with its path as flows write it.
    #[serde(flatten)]
    pub info: ComponentInfo,
    /// The plugin that serves it.
    pub plugin: String,
    /// Its path at the plugin.
    #[serde(skip)]
    at_plugin: String,
}

/// A plugin that has not listed its components.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailedPlugin {
    /// Its name in the configuration.
    pub plugin: String,
    /// Why it has not.
    pub error: String,
}

impl Catalog {
    /// Combines the lists of all plugins; `failed` are the plugins that take no tasks, each with the reason.
    #[must_use]
    pub fn new<'a>(
        router: &Router,
        plugins: impl IntoIterator<Item = (&'a str, Vec<ComponentInfo>)>,
        failed: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let listed = plugins.into_iter().flat_map(|(plugin, infos)| {
            infos.into_iter().filter_map(|info| {
                let route = Route { plugin: plugin.to_owned(), component: info.component.clone() };
                let path = router.path_to(&route)?;
                Some(ListedComponent {
                    info: ComponentInfo { component: path, ..info },
                    plugin: route.plugin,
                    at_plugin: route.component,
                })
            })
        });
        let mut components: Vec<ListedComponent> = listed.collect();
        components.sort_by(|one, other| one.info.component.cmp(&other.info.component));
        let failed_plugins: Vec<FailedPlugin> =
            failed.into_iter().map(|(plugin, error)| FailedPlugin { plugin, error }).collect();
        Self { components, complete: failed_plugins.is_empty(), failed_plugins }
    }

    /// The same without the schemas of inputs and outputs.
    #[must_use]
    pub fn without_schemas(mut self) -> Self {
        for listed in &mut self.components {
            (listed.info.input_schema, listed.info.output_schema) = (None, None);
        }
        self
    }

    /// The component that a route leads to.
    #[must_use]
    pub fn find(&self, route: &Route) -> Option<&ListedComponent> {
        self.components.iter().find(|listed| listed.plugin == route.plugin && listed.at_plugin == route.component)
    }
}
