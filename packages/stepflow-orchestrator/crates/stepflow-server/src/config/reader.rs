//! Reads plugins, routes and settings from the tree of a file. The tree has been compared with its shape. This module
//! checks what a shape cannot express, such as a route to a plugin that does not exist.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use stepflow_flow::node::{Content, Node};
use stepflow_flow::{Code, Decoder, Diagnostic, Diagnostics, Level, Path, Span, suggest};
use stepflow_hosts::{
    Condition, HealthCheck, MockOptions, RouteError, Rule, Transport, base_url_problem, is_open_to_others, url_problem,
};

use super::origins::Origins;
use super::passwords::hidden;
use super::routing::routing;
use super::section::{Section, scalar};
use super::stores::{self, StateStore};
use super::{Builtin, Mock, Plugin, Server, Worker, keys};
use crate::wording::name_list;

/// The allowed values of `maxMessageSize`, in bytes.
const MESSAGE_SIZES: RangeInclusive<usize> = 64 << 10..=256 << 20;

/// What a file sets, and what is wrong in it.
#[derive(Debug, Default)]
pub struct Settings {
    pub plugins: BTreeMap<String, Plugin>,
    /// The names under `plugins`, also of those whose type is not built.
    pub names: Vec<String>,
    pub routes: Vec<(String, Vec<Rule>)>,
    pub working_directory: Option<PathBuf>,
    pub server: Server,
    pub engine: stepflow_engine::Options,
    /// Where runs are kept.
    pub state: StateStore,
    pub mistakes: Diagnostics,
    /// What is allowed but risky.
    pub risks: Diagnostics,
    /// What this release does not have.
    pub not_built: Diagnostics,
    origins: Origins,
}

/// Reads a tree that has the right shape. Messages do not repeat values that come from the variables in `origins`.
pub fn read(tree: &Node, origins: Origins) -> Settings {
    let root = Section::whole(tree, &keys::ROOT);
    let stores = stores::read(root, &origins);
    let mut read = Settings {
        names: root.members("plugins").map(|(name, _)| name.to_owned()).collect(),
        working_directory: root.text("workingDirectory").map(PathBuf::from),
        server: root.section("server").map(|server| self::server(server, &origins)).unwrap_or_default(),
        state: stores.state,
        mistakes: stores.mistakes,
        not_built: stores.not_built,
        origins,
        ..Settings::default()
    };
    read.settings(root);
    for (name, section) in root.sections("plugins") {
        if let Some(plugin) = read.plugin(name, section) {
            read.plugins.insert(name.to_owned(), plugin);
        }
    }
    let rules_of = root.member_shape("routes");
    for (key, rules) in root.members("routes") {
        let rules = Section::elements(rules, rules_of).enumerate();
        let rules = rules.map(|(index, rule)| read.rule(key, index, rule)).collect();
        read.routes.push((key.to_owned(), rules));
    }
    if read.mistakes.is_empty() {
        read.follow_routes(root);
    }
    read
}

impl Settings {
    fn settings(&mut self, root: Section<'_>) {
        if let Some(defaults) = root.section("defaults") {
            self.engine.max_concurrency = defaults.number("maxConcurrency").unwrap_or(self.engine.max_concurrency);
            self.engine.step_timeout = defaults.time("timeout");
        }
        if let Some(retry) = root.section("retry") {
            let retries = retry.number("transportMaxRetries");
            self.engine.transport_max_retries = retries.unwrap_or(self.engine.transport_max_retries);
            let crashes = retry.number("maxServerCrashes");
            self.engine.max_server_crashes = crashes.unwrap_or(self.engine.max_server_crashes);
            self.decode(&["retry", "backoff"], retry.get("backoff"), |read, decoder, node| {
                read.engine.backoff = stepflow_flow::backoff(decoder, node).unwrap_or_default();
            });
        }
    }

    fn plugin(&mut self, name: &str, plugin: Section<'_>) -> Option<Plugin> {
        match plugin.kind? {
            "builtin" => {
                let openai_base_urls = self.openai_base_urls(name, plugin);
                let allow_paths = plugin
                    .texts("allowPaths")
                    .into_iter()
                    .flatten()
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from)
                    .collect();
                Some(Plugin::Builtin(Builtin { allow_paths, openai_base_urls }))
            }
            "stepflow" => {
                let worker = worker(plugin);
                self.check_address(name, plugin, &worker);
                self.check_token(name, plugin, &worker);
                self.check_message_size(name, plugin, &worker);
                Some(Plugin::Stepflow(Box::new(worker)))
            }
            "mock" => {
                self.check_schemas(name, plugin);
                let mut mock = Mock { validate_outputs: plugin.flag("validateOutputs"), ..Mock::default() };
                self.decode(&["plugins", name, "components"], plugin.get("components"), |_, decoder, node| {
                    mock.options = MockOptions::decode(decoder, node).unwrap_or_default();
                });
                Some(Plugin::Mock(mock))
            }
            _ => None,
        }
    }

    /// Where `/openai` may send its requests, if that is set.
    fn openai_base_urls(&mut self, name: &str, plugin: Section<'_>) -> Option<Vec<String>> {
        let list = plugin.section("openai")?.get("baseUrls")?;
        let wrong =
            addresses(list).find_map(|(node, url)| Some((node.span, self.shown(node, url), base_url_problem(url)?)));
        if let Some((span, url, problem)) = wrong {
            let path = Path::root().field("plugins").field(name).field("openai").field("baseUrls");
            let message = format!("{url} is not a base URL: {problem}");
            self.mistakes.push(Diagnostic::new(Code::InvalidType, &path, message).at(Some(span)));
        }
        Some(addresses(list).map(|(_, url)| url.to_owned()).collect())
    }

    /// An address as a message shows it: without a password, and without a value that comes from a variable.
    fn shown(&self, node: &Node, url: &str) -> String {
        let plain = || format!("`{}`", String::from_utf8_lossy(&hidden(url.as_bytes())));
        self.origins.describe(node.span).map_or_else(plain, |origin| format!("the value {origin}"))
    }

    /// A worker is started by its command or reached by its address, not both.
    fn check_address(&mut self, name: &str, plugin: Section<'_>, worker: &Worker) {
        let Some(url) = plugin.get("url") else { return };
        let problem = if !worker.command.is_empty() {
            Some("a plugin has a `command` or a `url`, not both".to_owned())
        } else if worker.transport == Transport::Stdio {
            Some("a worker at a `url` needs the transport `http`".to_owned())
        } else if worker.urls.is_empty() {
            Some("`url` is an empty list".to_owned())
        } else {
            addresses(url).find_map(|(node, url)| {
                let problem = url_problem(url)?;
                Some(format!("{} is not an address: {problem}", self.shown(node, url)))
            })
        };
        if let Some(problem) = problem {
            let path = Path::root().field("plugins").field(name).field("url");
            self.mistakes.push(Diagnostic::new(Code::InvalidType, &path, problem).at(Some(url.span)));
        }
    }

    /// Warns of a token that others can read on the way, and then use.
    fn check_token(&mut self, name: &str, plugin: Section<'_>, worker: &Worker) {
        let Some(token) = plugin.get("token").filter(|_| worker.token.is_some()) else { return };
        if worker.urls.iter().any(|url| is_open_to_others(url)) {
            let path = Path::root().field("plugins").field(name).field("token");
            let message = format!("the token of the plugin `{name}` is sent to another machine unencrypted");
            let risk = Diagnostic::new(Code::UnencryptedToken, &path, message).at(Some(token.span));
            self.risks
                .push(risk.help("others can read it on the way and use it: give the worker an `https://` address"));
        }
    }

    /// The limit must leave room for the first messages of a session, and our workers accept at most 256 MiB.
    fn check_message_size(&mut self, name: &str, plugin: Section<'_>, worker: &Worker) {
        let (Some(written), Some(size)) = (plugin.get("maxMessageSize"), worker.max_message) else { return };
        if !MESSAGE_SIZES.contains(&size) {
            let path = Path::root().field("plugins").field(name).field("maxMessageSize");
            let message = "`maxMessageSize` must be between 64KiB and 256MiB".to_owned();
            self.mistakes.push(Diagnostic::new(Code::InvalidType, &path, message).at(Some(written.span)));
        }
    }

    /// Schemas must not come from variables: they are shown to everybody, in lists and in error messages.
    fn check_schemas(&mut self, name: &str, plugin: Section<'_>) {
        for (component, described) in plugin.members("components") {
            for key in ["input_schema", "output_schema"] {
                let Some(schema) = described.get(key) else { continue };
                if let Some(origin) = self.origins.describe(schema.span) {
                    let path =
                        Path::root().field("plugins").field(name).field("components").field(component).field(key);
                    let message = format!("a schema is shown to everybody, and this one is {origin}");
                    let mistake = Diagnostic::new(Code::InvalidSchema, &path, message).at(Some(schema.span));
                    self.mistakes.push(mistake.help("write it without a variable"));
                }
            }
        }
    }

    /// Reads a part with a decoder of another crate. Everything that it reports is a mistake here, also a warning.
    fn decode(&mut self, keys: &[&str], node: Option<&Node>, read: impl FnOnce(&mut Self, &mut Decoder, &Node)) {
        let Some(node) = node.filter(|node| !node.is_null()) else { return };
        let mut decoder = Decoder::new();
        inside(&mut decoder, keys, |decoder| read(self, decoder, node));
        for mut diagnostic in decoder.finish() {
            diagnostic.level = diagnostic.level.max(Level::Error);
            let about = diagnostic.span.unwrap_or(node.span);
            self.mistakes.push(self.origins.without_values(about, diagnostic));
        }
    }

    fn rule(&mut self, route: &str, index: usize, rule: Section<'_>) -> Rule {
        let plugin = rule.text("plugin").unwrap_or_default();
        let path = Path::root().field("routes").field(route).index(index).field("plugin");
        self.check_plugin(&plugin, &path, rule.get("plugin").map_or(rule.node.span, |name| name.span));
        Rule {
            plugin,
            component: rule.text("component"),
            conditions: rule.list("conditions").filter_map(condition).collect(),
            component_allow: rule.texts("componentAllow"),
            component_deny: rule.texts("componentDeny").unwrap_or_default(),
        }
    }

    fn check_plugin(&mut self, name: &str, path: &Path, span: Span) {
        let names = || self.names.iter().map(String::as_str);
        if names().any(|known| known == name) {
            return;
        }
        let origin = self.origins.describe(span);
        let help = match suggest::nearest(name, names()).filter(|_| origin.is_none()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.names.is_empty() => "`plugins` is empty".to_owned(),
            None => format!("the plugins are {}", name_list(names())),
        };
        let message = match origin {
            Some(origin) => format!("there is no plugin with the name {origin}"),
            None => format!("there is no plugin `{name}`"),
        };
        self.mistakes.push(Diagnostic::new(Code::InvalidRoute, path, message).at(Some(span)).help(help));
    }

    /// Checks the routes as a whole: patterns, captures, and whether two of them match the same paths.
    fn follow_routes(&mut self, root: Section<'_>) {
        let Err(error) = routing(self.names.iter().map(|name| (name.clone(), false)), &self.routes) else { return };
        let route = match &error {
            RouteError::Pattern { route, .. }
            | RouteError::Empty { route }
            | RouteError::UnknownPlugin { route, .. }
            | RouteError::Template { route, .. } => route,
            RouteError::Duplicate { second, .. } => second,
        };
        let path = Path::root().field("routes").field(route);
        let entry = root.get("routes").and_then(|routes| routes.entry(route));
        let span = entry.map_or(root.node.span, |entry| entry.key_span);
        let mut mistake = Diagnostic::new(Code::InvalidRoute, &path, error.to_string()).at(Some(span));
        // The other messages repeat only keys, and keys are not filled in.
        if let RouteError::Template { .. } = error {
            mistake = self.origins.without_values(entry.map_or(root.node.span, |entry| entry.value.span), mistake);
        }
        self.mistakes.push(mistake);
    }
}

fn inside(decoder: &mut Decoder, keys: &[&str], read: impl FnOnce(&mut Decoder)) {
    match keys {
        [] => read(decoder),
        [first, rest @ ..] => decoder.inside(first, |decoder| inside(decoder, rest, read)),
    }
}

/// The addresses under `url`, which is one or a list, each with its place.
fn addresses(url: &Node) -> impl Iterator<Item = (&Node, &str)> {
    std::iter::once(url).chain(url.elements()).filter_map(|node| Some((node, node.as_str()?)))
}

fn worker(plugin: Section<'_>) -> Worker {
    let env = plugin.members("env").filter_map(|(name, value)| Some((name.to_owned(), scalar(value)?)));
    Worker {
        command: plugin.text("command").unwrap_or_default(),
        args: plugin.texts("args").unwrap_or_default(),
        env: env.collect(),
        inherit_env: match plugin.get("inheritEnv").map(|node| &node.content) {
            Some(Content::Bool(false)) => Some(Vec::new()),
            Some(Content::Array(_)) => plugin.texts("inheritEnv"),
            _ => None,
        },
        urls: plugin
            .texts("url")
            .filter(|urls| !urls.is_empty())
            .or_else(|| plugin.text("url").map(|url| vec![url]))
            .unwrap_or_default(),
        transport: match plugin.text("transport").as_deref() {
            Some("stdio") => Transport::Stdio,
            Some("http") => Transport::Http,
            _ => Transport::Announced,
        },
        // An empty token, as `${TOKEN:-}` may give it, means that there is none.
        token: plugin.text("token").filter(|token| !token.is_empty()),
        health_check: plugin.section("healthCheck").map(health_check).unwrap_or_default(),
        start_timeout: plugin.time("startTimeout"),
        instances: plugin.number("instances"),
        max_concurrency: plugin.number("maxConcurrency"),
        cancel_grace: plugin.time("cancelGrace"),
        max_message: plugin.bytes("maxMessageSize"),
        validate_outputs: plugin.flag("validateOutputs"),
        filled_in: Vec::new(),
    }
}

fn health_check(section: Section<'_>) -> HealthCheck {
    let default = HealthCheck::default();
    let milliseconds = |key: &str| section.number(key).map(Duration::from_millis);
    HealthCheck {
        path: section.text("path").unwrap_or(default.path),
        timeout: milliseconds("timeoutMs").unwrap_or(default.timeout),
        retry_delay: milliseconds("retryDelayMs").unwrap_or(default.retry_delay),
    }
}

fn condition(condition: Section<'_>) -> Option<Condition> {
    let path = Path::parse(&condition.text("path")?).ok()?;
    // The value may be `null`.
    Some(Condition { path, value: condition.node_or_null("value")?.to_value() })
}

fn server(server: Section<'_>, origins: &Origins) -> Server {
    Server {
        host: server.text("host"),
        host_origin: server.get("host").and_then(|host| origins.describe(host.span)),
        port: server.number("port"),
        allowed_hosts: server.texts("allowedHosts").unwrap_or_default(),
        stop_grace: server.time("stopGrace"),
        origins: server.section("cors").and_then(|cors| cors.texts("origins")).unwrap_or_default(),
    }
}
