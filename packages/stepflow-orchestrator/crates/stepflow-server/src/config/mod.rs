//! The configuration file: which plugins there are and which paths lead to them.
//!
//! It is read through the same tree as flows, so every mistake has its line and column. Without a file there are the
//! builtins and, where something can serve it, `/python`.

mod discovery;
mod keys;
mod reader;
mod routing;
mod substitution;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stepflow_flow::{Diagnostics, Level, Source};
use stepflow_hosts::{RouteError, Router, Rule};

use crate::cli::ComponentArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr;

/// What the configuration says.
#[derive(Debug)]
pub struct Config {
    /// What serves components, by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// Path patterns with their rules, in the order of the file.
    pub routes: Vec<(String, Vec<Rule>)>,
    /// Where relative paths start and workers run. Absolute.
    pub folder: PathBuf,
    file: Option<File>,
}

/// What serves components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plugin {
    /// The server itself.
    Builtin,
    /// A worker process on stdio.
    Stepflow(Worker),
}

/// How a worker is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worker {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables on top of those that it inherits.
    pub env: BTreeMap<String, String>,
}

/// The file, and what is in it that this release cannot do.
#[derive(Debug)]
struct File {
    source: Source,
    not_built: Diagnostics,
}

/// The configuration that the command line asks for, else the one that lies beside the flow or in the current folder,
/// else none.
///
/// # Errors
/// When it cannot be read, or is wrong.
pub fn find(args: &ComponentArgs, flow: Option<&Path>) -> Result<Config, Failure> {
    match discovery::find(args, flow)? {
        discovery::Found::File(path) => read(document::read("configuration", &path)?, discovery::folder_of(&path)?),
        discovery::Found::Nothing { worker } => Ok(without_file(worker, discovery::current_folder()?)),
    }
}

/// Reads a configuration.
///
/// # Errors
/// With all that is wrong in it.
pub fn read(source: Source, folder: PathBuf) -> Result<Config, Failure> {
    let wrong = |wrong: &Diagnostics| Failure::text(Exit::Outside, wrong.render(&source, stderr::color()));
    let tree = stepflow_flow::read_node(&source).map_err(|syntax| wrong(&syntax))?;
    let read = reader::read(&tree, &|name| std::env::var(name).ok());
    if !read.mistakes.is_empty() {
        return Err(wrong(&read.mistakes));
    }
    let file = Some(File { source, not_built: read.not_built });
    Ok(Config { plugins: read.plugins, routes: read.routes, folder, file })
}

/// The builtins, and `/python` when there is a worker for it.
fn without_file(worker: Option<String>, folder: PathBuf) -> Config {
    let mut plugins = BTreeMap::from([("builtin".to_owned(), Plugin::Builtin)]);
    if let Some(target) = worker {
        let worker = Worker { command: "stepflow-worker".to_owned(), args: vec![target], env: BTreeMap::new() };
        plugins.insert("python".to_owned(), Plugin::Stepflow(worker));
    }
    let routes = plugins.keys().map(|name| (format!("/{name}/{{*component}}"), vec![Rule::to(name)])).collect();
    Config { plugins, routes, folder, file: None }
}

impl Config {
    /// Stops at the first thing that this release cannot do: ignoring it would change what was asked for.
    ///
    /// # Errors
    /// With all of them.
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

    /// What this release cannot do, for people; nothing when it can do everything.
    #[must_use]
    pub fn not_built(&self) -> Option<String> {
        let file = self.file.as_ref().filter(|file| !file.not_built.is_empty())?;
        Some(file.not_built.render(&file.source, stderr::color()))
    }

    /// Where each path leads, without what is there.
    ///
    /// # Errors
    /// Never for routes that were read from a file: they were followed then.
    pub fn routing(&self) -> Result<Router, RouteError> {
        routing::routing(self.plugins.keys().cloned(), &self.routes)
    }

    /// What may help whoever misses a component: without a file that is mostly a worker.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        (self.file.is_none() && self.plugins.len() == 1)
            .then_some("put a `components.py` beside the flow, or name one with `--worker FILE`")
    }

    /// Where it comes from, for people.
    #[must_use]
    pub fn origin(&self) -> String {
        self.file.as_ref().map_or_else(|| "no configuration file".to_owned(), |file| format!("`{}`", file.source.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, Failure> {
        read(Source::yaml("stepflow-config.yml", text), PathBuf::from("/project"))
    }

    #[test]
    fn plugins_and_routes_are_read() {
        let config = parse(
            "plugins:\n  builtin: {type: builtin}\n  python: {type: stepflow, command: w, args: [a.py, 3], env: {N: 1}}\n\
             routes:\n  '/python/{*component}': [{plugin: python}]\n  '/{*component}': [{plugin: builtin, component: '/{component}'}]\n",
        )
        .unwrap();
        let worker = Worker {
            command: "w".to_owned(),
            args: vec!["a.py".to_owned(), "3".to_owned()],
            env: BTreeMap::from([("N".to_owned(), "1".to_owned())]),
        };
        assert_eq!(config.plugins["python"], Plugin::Stepflow(worker));
        assert_eq!(config.plugins["builtin"], Plugin::Builtin);
        assert_eq!(config.routes[0], ("/python/{*component}".to_owned(), vec![Rule::to("python")]));
        assert!(config.refuse_what_is_not_built().is_ok());
    }

    #[test]
    fn an_empty_file_is_an_empty_configuration() {
        assert!(parse("").unwrap().plugins.is_empty());
    }

    #[test]
    fn the_store_that_there_is_may_be_named() {
        assert!(parse("stateStore: {type: inMemory}").unwrap().refuse_what_is_not_built().is_ok());
        assert!(parse("stateStore: {type: sqlite}").unwrap().refuse_what_is_not_built().is_err());
    }

    #[test]
    fn every_key_of_the_documentation_is_known() {
        for key in ["blobStore", "server", "defaults", "retry", "limits", "workingDirectory", "retention"] {
            let config = parse(&format!("{key}: {{}}")).unwrap();
            assert!(config.not_built().unwrap().contains(&format!("`{key}`")), "{key}");
        }
    }

    #[test]
    fn without_a_file_there_are_the_builtins_and_the_named_worker() {
        let config = without_file(Some("components.py".to_owned()), PathBuf::from("/"));
        assert_eq!(config.plugins.keys().collect::<Vec<_>>(), ["builtin", "python"]);
        assert_eq!(config.routes.len(), 2);
        assert!(!without_file(None, PathBuf::from("/")).plugins.contains_key("python"));
    }
}
