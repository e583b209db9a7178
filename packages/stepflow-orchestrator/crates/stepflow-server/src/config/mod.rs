//! The configuration file: which plugins there are and which paths lead to them.
//!
//! It is parsed into the same tree as flows, so every mistake has its line and column. Without a file there are the
//! builtins and, if there is a worker for it, `/python`.
//!
//! A file is read in three steps: `filling` fills in its strings, `check` compares the tree with the table of all keys in
//! `keys`, and `reader` reads it.

mod check;
mod discovery;
mod filling;
mod keys;
mod origins;
mod passwords;
mod reader;
mod routing;
mod schema;
mod section;
mod shape;
mod size;
mod stores;
mod substitution;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stepflow_flow::{Code, Diagnostic, Diagnostics, Level, Node, Source};
use stepflow_hosts::{HealthCheck, MockOptions, RouteError, Router, Rule, Transport};

use crate::cli::ComponentArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr;
use origins::Origins;
use substitution::Environment;

pub use schema::schema;
pub use stores::StateStore;

/// The configuration.
#[derive(Debug)]
pub struct Config {
    /// What serves components, by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// Path patterns with their rules, in the order of the file.
    pub routes: Vec<(String, Vec<Rule>)>,
    /// Where workers run and `/load_file` reads. Absolute.
    pub folder: PathBuf,
    /// Where `serve` listens, when the command line does not say.
    pub server: Server,
    /// The engine's settings.
    pub engine: stepflow_engine::Options,
    /// Where `serve` keeps runs.
    pub state: StateStore,
    /// Whether the outputs of a plugin are checked when the plugin does not set it.
    pub validate_outputs: bool,
    /// The variables that settings of the server and tokens of workers are filled in from. No worker inherits them.
    pub withheld_env: Vec<String>,
    /// The file that it was read from, if there was one.
    pub path: Option<PathBuf>,
    /// The names of all plugins, also of those whose type is not built.
    names: Vec<String>,
    file: Option<SourceFile>,
}

/// What serves components.
#[derive(Debug, Clone, PartialEq)]
pub enum Plugin {
    /// The server itself.
    Builtin(Builtin),
    /// Worker processes, or workers at addresses.
    Stepflow(Box<Worker>),
    /// A list of answers, for tests.
    Mock(Mock),
}

impl Plugin {
    /// The type, as the file writes it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Builtin(_) => "builtin",
            Self::Stepflow(_) => "stepflow",
            Self::Mock(_) => "mock",
        }
    }
}

/// What the builtins may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builtin {
    /// Folders and files that `/load_file` may read in addition to the working directory. Absolute.
    pub allow_paths: Vec<PathBuf>,
    /// Where `/openai` may send its requests; only to OpenAI when absent.
    pub openai_base_urls: Option<Vec<String>>,
}

/// How a worker is started or found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worker {
    /// The program; empty when `urls` is set.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that it gets in addition to those that it inherits.
    pub env: BTreeMap<String, String>,
    /// The only variables that it inherits; most of them when absent.
    pub inherit_env: Option<Vec<String>>,
    /// The addresses of workers that are running already.
    pub urls: Vec<String>,
    /// How the server communicates with a process.
    pub transport: Transport,
    /// The token that a worker over HTTP requires.
    pub token: Option<String>,
    /// How the server finds out that a process serves HTTP.
    pub health_check: HealthCheck,
    /// How long it may take to start; 5 min when absent.
    pub start_timeout: Option<Duration>,
    /// How many processes are started; 1 when absent.
    pub instances: Option<usize>,
    /// How many tasks a process gets at the same time; as many as it announces when absent.
    pub max_concurrency: Option<usize>,
    /// How long a cancelled task may take to end; 4 s when absent.
    pub cancel_grace: Option<Duration>,
    /// The longest message to it or from it, in bytes; 256 MiB when absent.
    pub max_message: Option<usize>,
    /// Whether its outputs are checked; as [`Config::validate_outputs`] says when absent.
    pub validate_outputs: Option<bool>,
    /// The values that were filled in from variables of the environment, each with the variable's name.
    pub filled_in: Vec<(String, String)>,
}

/// A plugin that answers from a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mock {
    /// The list.
    pub options: MockOptions,
    /// Whether its outputs are checked; as [`Config::validate_outputs`] says when absent.
    pub validate_outputs: Option<bool>,
}

/// Where `serve` listens, and which host names and web pages may be used to call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// The address, or a host name.
    pub host: Option<String>,
    /// Tells which variables of the environment the host is filled in from.
    pub host_origin: Option<String>,
    /// The port; 0 lets the system choose.
    pub port: Option<u16>,
    /// The host names that callers may use.
    pub allowed_hosts: Vec<String>,
    /// The origins of web pages that may use it.
    pub origins: Vec<String>,
    /// How long steps may go on when it stops; 5 s when absent.
    pub stop_grace: Option<Duration>,
}

impl Server {
    /// How long steps may go on when the process stops.
    pub fn stop_grace(&self) -> Duration {
        self.stop_grace.unwrap_or(Duration::from_secs(5))
    }
}

/// The file, and the warnings about it.
#[derive(Debug)]
struct SourceFile {
    /// The text, without the passwords in it.
    source: Source,
    /// What the file uses that is not built.
    not_built: Diagnostics,
    /// What is allowed but risky.
    risks: Diagnostics,
}

/// The configuration that the command line names, else the one in the folder of the flow, else the one in the current
/// folder, else none.
///
/// # Errors
/// When the file cannot be read or is wrong.
pub fn find(args: &ComponentArgs, flow: Option<&Path>) -> Result<Config, Failure> {
    match discovery::find(args, flow)? {
        discovery::Found::File(path) => {
            let config = read(document::read("configuration", &path)?, discovery::folder_of(&path)?)?;
            Ok(Config { path: Some(path), ..config })
        }
        discovery::Found::Nothing { worker } => Ok(without_file(worker, discovery::current_folder()?)),
    }
}

/// Reads a configuration.
///
/// # Errors
/// With everything that is wrong in it.
pub fn read(source: Source, folder: PathBuf) -> Result<Config, Failure> {
    read_with(source, folder, &|name| std::env::var(name).ok())
}

fn read_with(source: Source, folder: PathBuf, environment: Environment<'_>) -> Result<Config, Failure> {
    let tree = stepflow_flow::read_node_with_any_keys(&source);
    let shown = passwords::without_secrets(&source.text, tree.as_ref().ok());
    let source = Source { text: shown, ..source };
    let wrong = |wrong: &Diagnostics| Failure::text(Exit::Outside, wrong.render(&source, stderr::color()));
    let tree = tree.map_err(|syntax| wrong(&syntax))?;
    let filled = filling::fill_tree(&tree, environment);
    let mut found = check::check(&filled.tree, &keys::ROOT, &filled.origins);
    found.mistakes.extend(filled.mistakes);
    let mut read = reader::Settings::default();
    if found.mistakes.is_empty() {
        found.mistakes.extend(missing_folder(&filled.tree, &folder, &filled.origins));
        read = reader::read(&filled.tree, filled.origins);
        found.mistakes.extend(std::mem::take(&mut read.mistakes));
    }
    if !found.mistakes.is_empty() {
        return Err(wrong(&found.mistakes));
    }
    // Relative paths start in the folder of the file. `..` is kept, because the part before it may be a symbolic link.
    read.plugins.values_mut().for_each(|plugin| plugin.start_paths_at(&folder));
    for (name, plugin) in &mut read.plugins {
        if let (Plugin::Stepflow(worker), Some(written)) = (plugin, tree.get("plugins").and_then(|all| all.get(name))) {
            worker.filled_in = filling::values_in(written, environment);
        }
    }
    let state = read.state.in_folder(&folder);
    let mut not_built = found.not_built;
    not_built.extend(read.not_built);
    let working = read.working_directory.map_or_else(|| folder.clone(), |working| folder.join(working));
    Ok(Config {
        plugins: read.plugins,
        routes: read.routes,
        folder: working,
        server: read.server,
        engine: read.engine,
        state,
        validate_outputs: false,
        withheld_env: filled.server_variables,
        path: None,
        names: read.names,
        file: Some(SourceFile { source, not_built, risks: read.risks }),
    })
}

/// A working directory that does not exist. Without this check only the first worker would notice it.
fn missing_folder(tree: &Node, folder: &Path, origins: &Origins) -> Option<Diagnostic> {
    let node = tree.get("workingDirectory")?;
    let working = folder.join(node.as_str()?);
    let path = stepflow_flow::Path::root().field("workingDirectory");
    let found = origins.describe(node.span).unwrap_or_else(|| format!("`{}`", working.display()));
    let message = format!("`workingDirectory`: there is no folder {found}");
    (!working.is_dir()).then(|| Diagnostic::new(Code::InvalidType, &path, message).at(Some(node.span)))
}

/// The builtins, and `/python` when there is a worker for it.
fn without_file(worker: Option<String>, folder: PathBuf) -> Config {
    let mut plugins = BTreeMap::from([("builtin".to_owned(), Plugin::Builtin(Builtin::default()))]);
    if let Some(target) = worker {
        let worker = Worker { command: "stepflow-worker".to_owned(), args: vec![target], ..Worker::default() };
        plugins.insert("python".to_owned(), Plugin::Stepflow(Box::new(worker)));
    }
    let names = plugins.keys().cloned().collect();
    let routes = plugins.keys().map(|name| (format!("/{name}/{{*component}}"), vec![Rule::to(name)])).collect();
    Config {
        plugins,
        routes,
        state: StateStore::default().in_folder(&folder),
        folder,
        server: Server::default(),
        engine: stepflow_engine::Options::default(),
        validate_outputs: false,
        withheld_env: Vec::new(),
        path: None,
        names,
        file: None,
    }
}

impl Plugin {
    fn start_paths_at(&mut self, folder: &Path) {
        if let Self::Builtin(builtin) = self {
            builtin.allow_paths.iter_mut().for_each(|path| *path = folder.join(&path));
        }
    }
}

impl Config {
    /// Refuses a configuration that uses what is not built: to ignore it would change what the user asked for.
    ///
    /// # Errors
    /// With everything that is not built.
    pub fn refuse_what_is_not_built(&self) -> Result<(), Failure> {
        match &self.file {
            Some(file) if !file.not_built.is_empty() => {
                let mut refused = file.not_built.clone().into_iter().collect::<Vec<_>>();
                refused.iter_mut().for_each(|diagnostic| diagnostic.level = Level::Error);
                let mut diagnostics = Diagnostics::default();
                diagnostics.extend(refused);
                let text = diagnostics.render(&file.source, stderr::color());
                Err(Failure::text(Exit::Outside, text).hint("remove it, or wait for a release that has it"))
            }
            _ => Ok(()),
        }
    }

    /// What the file uses that is not built, as text for people.
    #[must_use]
    pub fn not_built(&self) -> Option<String> {
        self.rendered(|file| &file.not_built)
    }

    /// What is allowed but risky, as text for people.
    #[must_use]
    pub fn risks(&self) -> Option<String> {
        self.rendered(|file| &file.risks)
    }

    fn rendered(&self, part: impl Fn(&SourceFile) -> &Diagnostics) -> Option<String> {
        let file = self.file.as_ref().filter(|file| !part(file).is_empty())?;
        Some(part(file).render(&file.source, stderr::color()))
    }

    /// The paths of configurations: the file that was read, and those that may be in the working directory.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.path.iter().cloned().chain(discovery::NAMES.iter().map(|name| self.folder.join(name))).collect()
    }

    /// Which plugin each path leads to, without the plugins themselves.
    ///
    /// # Errors
    /// When the routes are wrong. Routes from a file were checked when it was read.
    pub fn routing(&self) -> Result<Router, RouteError> {
        let builtin = |name: &str| matches!(self.plugins.get(name), Some(Plugin::Builtin(_)));
        routing::routing(self.names.iter().map(|name| (name.clone(), builtin(name))), &self.routes)
    }

    /// Advice for a flow whose component is missing.
    #[must_use]
    pub fn advice(&self) -> Advice {
        Advice { without_worker: self.file.is_none() && self.plugins.len() == 1, in_file: self.file.is_some() }
    }

    /// The file that it comes from, for messages.
    #[must_use]
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(|| "no configuration file".to_owned(), |file| format!("`{}`", file.source.name))
    }
}

/// Advice for a flow whose component is missing.
#[derive(Debug, Clone, Copy)]
pub struct Advice {
    /// Whether there is neither a file nor a worker.
    without_worker: bool,
    in_file: bool,
}

impl Advice {
    /// What to do about this path. Without a configuration a worker can serve `/python/…`; every other path needs a
    /// route.
    #[must_use]
    pub fn on(self, path: &str) -> Option<&'static str> {
        let is_python = path.starts_with("/python/");
        match (is_python, self.in_file) {
            (true, false) if self.without_worker => {
                Some("put a `components.py` into the folder of the flow, or use `--worker FILE`")
            }
            (false, false) if !path.starts_with("/builtin/") => Some(
                "without a configuration there is only `/builtin/…` and `/python/…`: add a route to it in `stepflow-config.yml`",
            ),
            (_, true) if path.starts_with("/builtin/") => Some(
                "a configuration has to list the builtins, too: `builtin: {type: builtin}` under `plugins`, and \
                 `\"/builtin/{*component}\": [{plugin: builtin}]` under `routes`",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
