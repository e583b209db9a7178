//! Finds the host of a component: path pattern → plugin, as the config's `routes` say.
//!
//! The patterns that match are tried from the most specific one. The first rule counts that applies to the input and
//! whose plugin has the component.

mod rule;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready, select_all};
use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
use stepflow_flow::subflow::Takes;
use stepflow_flow::suggest;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use crate::pattern::Pattern;
use rule::CompiledRule;
pub use rule::{Condition, Rule};

/// Raised when routes cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The key is not a pattern.
    #[error("the route `{route}` is not a path pattern: {problem}")]
    Pattern {
        /// The key.
        route: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two keys match the same paths.
    #[error("the routes `{first}` and `{second}` match the same paths: put their rules under one of them")]
    Duplicate {
        /// One key.
        first: String,
        /// The other.
        second: String,
    },
    /// The route leads nowhere.
    #[error("the route `{route}` has no rules: name a plugin, as in `[{{plugin: python}}]`")]
    Empty {
        /// The key.
        route: String,
    },
    /// The rule names a plugin that the config does not have.
    #[error("the route `{route}` leads to the plugin `{plugin}`, which does not exist{hint}")]
    UnknownPlugin {
        /// The key.
        route: String,
        /// The plugin that was named.
        plugin: String,
        /// The plugins that there are.
        hint: String,
    },
    /// The rule's component cannot be filled in.
    #[error("the route `{route}`: {problem}")]
    Template {
        /// The key.
        route: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The component host that the engine sees: passes each task to the plugin that its path's route names.
pub struct Router {
    plugins: BTreeMap<String, Arc<dyn ComponentHost>>,
    /// Most specific first.
    routes: Vec<CompiledRoute>,
    inbox: Arc<dyn Inbox>,
}

struct CompiledRoute {
    /// The key as it stands in the config.
    key: String,
    pattern: Pattern,
    rules: Vec<CompiledRule>,
}

impl Router {
    /// Compiles routes over these plugins. `inbox` gets the answer for a task whose plugin is gone.
    ///
    /// # Errors
    ///
    /// The first route that cannot be followed.
    pub fn new(
        plugins: BTreeMap<String, Arc<dyn ComponentHost>>,
        routes: impl IntoIterator<Item = (String, Vec<Rule>)>,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Self, RouteError> {
        let mut compiled = Vec::new();
        for (key, rules) in routes {
            compiled.push(CompiledRoute::new(key, rules, &plugins)?);
        }
        compiled.sort_by(|left, right| left.pattern.specificity(&right.pattern));
        if let Some(twins) = compiled.windows(2).find(|pair| pair[0].pattern.specificity(&pair[1].pattern).is_eq()) {
            return Err(RouteError::Duplicate { first: twins[0].key.clone(), second: twins[1].key.clone() });
        }
        Ok(Self { plugins, routes: compiled, inbox })
    }

    /// Where a component's path leads with this input, whether or not the plugin has such a component.
    #[must_use]
    pub fn route(&self, path: &str, input: &Value) -> Option<Route> {
        self.matching(path).find(|(rule, _)| rule.applies_to(input)).map(|(_, route)| route)
    }

    /// All targets that a component's path may have, the first choice first: the input decides between them.
    #[must_use]
    pub fn routes(&self, path: &str) -> Vec<Route> {
        self.matching(path).map(|(_, route)| route).collect()
    }

    /// Whether the path leads to a component for some input.
    ///
    /// # Errors
    ///
    /// COMPONENT_NOT_FOUND, with the path as the flow writes it.
    pub fn serves(&self, path: &str) -> Result<(), FlowError> {
        match self.first(path, &Value::null(), self.matching(path)) {
            Err(error) if error.kind == ErrorKind::ComponentNotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The rules whose pattern matches and whose lists allow the component, each with its target.
    fn matching(&self, path: &str) -> impl Iterator<Item = (&CompiledRule, Route)> {
        let captured = self.routes.iter().filter_map(move |route| Some((route, route.pattern.captures(path)?)));
        captured.flat_map(|(route, captures)| {
            route.rules.iter().filter_map(move |rule| Some((rule, rule.target(&captures)?)))
        })
    }

    /// The first of these rules whose plugin has the component. When none has it, the error of the first rule.
    fn first<'r>(
        &self,
        path: &str,
        input: &Value,
        rules: impl Iterator<Item = (&'r CompiledRule, Route)>,
    ) -> Result<Target, FlowError> {
        let mut refused = None;
        let mut rules = rules.peekable();
        while let Some((_, route)) = rules.next() {
            let plugin = self.plugins.get(&route.plugin).ok_or_else(|| gone(&route))?;
            let is_last = rules.peek().is_none();
            match plugin.resolve(&route.component, input) {
                // A host does not know its plugin's name in the config.
                Ok(Target::Component { purity, .. }) => return Ok(Target::Component { route, purity }),
                // There is no other choice: the task can wait at the plugin.
                Ok(Target::Undecided) if is_last => {
                    return Ok(Target::Component { route, purity: Purity::External });
                }
                Ok(undecided_or_control) => return Ok(undecided_or_control),
                // A plugin whose workers have never started serves nothing.
                Err(error) if matches!(error.kind, ErrorKind::ComponentNotFound | ErrorKind::Unreachable) => {
                    refused.get_or_insert((error, route));
                }
                Err(error) => return Err(error),
            }
        }
        Err(match refused {
            Some((error, _)) if error.kind == ErrorKind::Unreachable => error,
            Some((error, route)) => self.reworded(&error, path, &route),
            None => self.no_route(path),
        })
    }

    /// A path by which a flow reaches this component of a plugin, if there is one.
    #[must_use]
    pub fn path_to(&self, target: &Route) -> Option<String> {
        self.routes
            .iter()
            .map(|route| {
                let prefix = route.pattern.literal_prefix();
                let parts = prefix.into_iter().chain([target.component.trim_start_matches('/')]);
                parts.fold(String::new(), |path, part| path + "/" + part)
            })
            .find(|path| self.matching(path).any(|(_, route)| route == *target))
    }

    fn no_route(&self, path: &str) -> FlowError {
        let error = |message| FlowError::new(ErrorKind::ComponentNotFound, message);
        if let Some(route) = self.routes.iter().find(|route| route.pattern.captures(path).is_some()) {
            return error(format!(
                "no rule of the route `{}` takes `{path}`: its conditions do not fit this input, or its lists do not \
                 allow the component",
                route.key
            ));
        }
        let message = format!("no route leads to `{path}`");
        if let Some(nearest) = self.nearest(path) {
            return error(format!("{message}: did you mean `{nearest}`?")).with([("nearest", Value::string(&nearest))]);
        }
        let keys: Vec<String> = self.routes.iter().map(|route| format!("`{}`", route.key)).collect();
        error(format!(
            "{message}; the routes are {}",
            if keys.is_empty() { "none".to_owned() } else { keys.join(", ") }
        ))
    }

    /// A path near the written one that some route matches.
    fn nearest(&self, path: &str) -> Option<String> {
        let with_slash = format!("/{path}");
        if !path.starts_with('/') && self.matching(&with_slash).next().is_some() {
            return Some(with_slash);
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let candidates: Vec<String> = self
            .routes
            .iter()
            .filter_map(|route| {
                let prefix = route.pattern.literal_prefix();
                let rest = segments.get(prefix.len()..)?;
                Some(prefix.iter().chain(rest).fold(String::new(), |path, segment| path + "/" + segment))
            })
            .filter(|candidate| self.matching(candidate).next().is_some())
            .collect();
        suggest::nearest(path, candidates.iter().map(String::as_str)).map(str::to_owned)
    }

    /// The plugin's error, with the path as the flow writes it.
    fn reworded(&self, error: &FlowError, path: &str, route: &Route) -> FlowError {
        let nearest = error.data.as_ref().and_then(|data| data.field("nearest")?.text());
        let meant = nearest
            .and_then(|component| self.path_to(&Route { plugin: route.plugin.clone(), component }))
            // A route for everything also matches a misspelled prefix of another route.
            .or_else(|| self.nearest(path));
        let message =
            format!("`{path}` leads to the plugin `{}`, which has no component `{}`", route.plugin, route.component);
        let data = [("component", Value::string(path)), ("plugin", Value::string(&route.plugin))];
        match meant {
            None => FlowError::new(ErrorKind::ComponentNotFound, message).with(data),
            Some(meant) => FlowError::new(ErrorKind::ComponentNotFound, format!("{message}: did you mean `{meant}`?"))
                .with(data)
                .with([("nearest", Value::string(&meant))]),
        }
    }
}

impl Router {
    /// Whether the component of this path runs a flow, for some input.
    #[must_use]
    pub fn runs_flows(&self, path: &str) -> bool {
        self.takes(path).any(|takes| takes.is_some_and(Takes::runs_it))
    }

    fn takes(&self, path: &str) -> impl Iterator<Item = Option<Takes>> {
        let of = |route: Route| self.plugins.get(&route.plugin)?.takes_flow(&route.component);
        self.matching(path).map(move |(_, route)| of(route))
    }
}

impl ComponentHost for Router {
    fn decided(&self, path: &str) -> BoxFuture<'static, ()> {
        let plugins = self.matching(path).filter_map(|(_, route)| self.plugins.get(&route.plugin));
        let pending = |mut decided: BoxFuture<'static, ()>| (&mut decided).now_or_never().is_none().then_some(decided);
        // One more may be enough: the others may be down for long.
        let pending: Vec<_> = plugins.filter_map(|plugin| pending(plugin.decided(path))).collect();
        if pending.is_empty() { ready(()).boxed() } else { select_all(pending).map(drop).boxed() }
    }

    /// Where the input decides between targets, the answer is known only if all targets agree.
    fn takes_flow(&self, path: &str) -> Option<Takes> {
        let mut takes = self.takes(path);
        let first = takes.next()?;
        first.filter(|_| takes.all(|other| other == first))
    }

    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        self.first(path, input, self.matching(path).filter(|(rule, _)| rule.applies_to(input)))
    }

    fn purity(&self, route: &Route) -> Purity {
        self.plugins.get(&route.plugin).map_or(Purity::External, |plugin| plugin.purity(route))
    }

    fn offer(&self, task: TaskEnvelope) {
        match self.plugins.get(&task.route.plugin) {
            Some(plugin) => plugin.offer(task),
            // The run was begun under another config.
            None => self.inbox.answer(task.address(), Answer::Failed(gone(&task.route).into())),
        }
    }

    fn proceed(&self, route: &Route, task: Address, hold: u64) {
        if let Some(plugin) = self.plugins.get(&route.plugin) {
            plugin.proceed(route, task, hold);
        }
    }

    fn cancel(&self, route: &Route, task: Address, reason: &str) {
        if let Some(plugin) = self.plugins.get(&route.plugin) {
            plugin.cancel(route, task, reason);
        }
    }
}

fn gone(route: &Route) -> FlowError {
    let message = format!("the plugin `{}` is not in the config (any more)", route.plugin);
    FlowError::new(ErrorKind::ComponentNotFound, message).with([("plugin", Value::string(&route.plugin))])
}

impl CompiledRoute {
    fn new(
        key: String,
        rules: Vec<Rule>,
        plugins: &BTreeMap<String, Arc<dyn ComponentHost>>,
    ) -> Result<Self, RouteError> {
        if rules.is_empty() {
            return Err(RouteError::Empty { route: key });
        }
        let text =
            if is_prefix(&key, &rules) { format!("{}/{{*component}}", key.trim_end_matches('/')) } else { key.clone() };
        let pattern = Pattern::parse(&text).map_err(|problem| RouteError::Pattern { route: key.clone(), problem })?;
        let mut compiled = Vec::new();
        for rule in rules {
            if !plugins.contains_key(&rule.plugin) {
                let hint = plugin_hint(&rule.plugin, plugins);
                return Err(RouteError::UnknownPlugin { route: key, plugin: rule.plugin, hint });
            }
            let rule = CompiledRule::new(rule, &pattern)
                .map_err(|problem| RouteError::Template { route: key.clone(), problem })?;
            compiled.push(rule);
        }
        Ok(Self { key, pattern, rules: compiled })
    }
}

/// `/` and a single literal segment also match everything below them, unless every rule names its component.
fn is_prefix(key: &str, rules: &[Rule]) -> bool {
    let single = key.strip_prefix('/').is_some_and(|rest| !rest.contains(['/', '{', '}']));
    let below = |rule: &Rule| rule.component.as_ref().is_none_or(|template| template.contains('{'));
    single && rules.iter().any(below)
}

fn plugin_hint(name: &str, plugins: &BTreeMap<String, Arc<dyn ComponentHost>>) -> String {
    if let Some(nearest) = suggest::nearest(name, plugins.keys().map(String::as_str)) {
        return format!(": did you mean `{nearest}`?");
    }
    let names: Vec<String> = plugins.keys().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; the plugins are {}", names.join(", ")) }
}
