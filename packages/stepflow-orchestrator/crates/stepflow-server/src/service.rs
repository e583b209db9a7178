//! The parts of a running server, put together: store, hosts, router, engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use stepflow_engine::ports::{Blobs, ComponentHost, SystemClock};
use stepflow_engine::{Engine, Ports};
use stepflow_flow::{Code, Diagnostic, Path, Plan};
use stepflow_hosts::{BuiltinHost, BuiltinOptions, Health, Router, StartError, StdioWorker, WorkerOptions};
use stepflow_protocol::{ErrorKind, RunId, Value};
use stepflow_store::MemoryStore;
use tokio::sync::watch;

use crate::config::{Config, Plugin, Worker};

/// A server in memory, with the plugins of a configuration.
pub struct Service {
    /// Runs flows.
    pub engine: Engine,
    /// Keeps runs and flows.
    pub store: Arc<MemoryStore>,
    router: Arc<Router>,
    workers: BTreeMap<String, Arc<StdioWorker>>,
    stopping: watch::Sender<bool>,
}

/// Which workers are to be started.
#[derive(Clone, Copy)]
pub enum Needs<'a> {
    /// All.
    Everything,
    /// Those that a flow's components lead to.
    Plan(&'a Plan),
}

impl Service {
    /// Puts the parts together; starts no worker yet. To be called inside a tokio runtime.
    ///
    /// When they are shut down, workers have `grace` to end by themselves, and as long again after SIGTERM.
    ///
    /// # Errors
    /// When a route cannot be followed; not for routes that were read from a file.
    pub fn new(config: &Config, grace: Duration) -> Result<Self, stepflow_hosts::RouteError> {
        let store = MemoryStore::new(stepflow_store::Options::default());
        let (inbox, mailbox) = stepflow_engine::inbox();
        let blobs: Arc<dyn Blobs> = Arc::clone(&store) as Arc<dyn Blobs>;
        let mut hosts: BTreeMap<String, Arc<dyn ComponentHost>> = BTreeMap::new();
        let mut workers = BTreeMap::new();
        for (name, plugin) in &config.plugins {
            let (inbox, blobs) = (Arc::clone(&inbox), Arc::clone(&blobs));
            let host: Arc<dyn ComponentHost> = match plugin {
                Plugin::Builtin => Arc::new(BuiltinHost::new(builtin_options(config), inbox, blobs)),
                Plugin::Stepflow(worker) => {
                    let options = WorkerOptions { shutdown_grace: grace, ..worker_options(config, name, worker) };
                    let worker = Arc::new(StdioWorker::new(options, inbox, blobs));
                    workers.insert(name.clone(), Arc::clone(&worker));
                    worker
                }
            };
            hosts.insert(name.clone(), host);
        }
        let router = Arc::new(Router::new(hosts, config.routes.iter().cloned(), inbox)?);
        let ports =
            Ports { journal: Arc::clone(&store) as _, host: Arc::clone(&router) as _, clock: Arc::new(SystemClock) };
        let engine = Engine::start(stepflow_engine::Options::default(), ports, mailbox);
        Ok(Self { engine, store, router, workers, stopping: watch::Sender::new(false) })
    }

    /// Starts workers, all at once, and waits until each has answered or failed to.
    ///
    /// # Errors
    /// Those that failed; the others run.
    pub async fn start(&self, needs: Needs<'_>) -> Result<(), Vec<StartError>> {
        let started = join_all(self.needed(needs).into_iter().map(|(_, worker)| worker.start())).await;
        let failed: Vec<StartError> = started.into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// The names of the workers that will be started.
    #[must_use]
    pub fn names(&self, needs: Needs<'_>) -> Vec<&str> {
        self.needed(needs).into_iter().map(|(name, _)| name).collect()
    }

    fn needed(&self, needs: Needs<'_>) -> Vec<(&str, &StdioWorker)> {
        let wanted: Option<BTreeSet<String>> = match needs {
            Needs::Everything => None,
            Needs::Plan(plan) => {
                let routes = plan.steps.iter().filter_map(|step| self.router.route(&step.component));
                Some(routes.map(|route| route.plugin).collect())
            }
        };
        let wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
        self.workers.iter().filter(|(name, _)| wanted(name)).map(|(name, worker)| (name.as_str(), &**worker)).collect()
    }

    /// Where each path leads, and what is there.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The plugins that take no tasks now, each with the reason.
    #[must_use]
    pub fn not_ready(&self) -> Vec<(String, String)> {
        let reason = |worker: &StdioWorker| match worker.health() {
            Health::Ready => None,
            Health::Starting => Some("it is starting".to_owned()),
            // What the worker wrote is for its owner, in the log: this is for whoever asks.
            Health::Down(why) => Some(why.lines().next().unwrap_or_default().to_owned()),
            Health::ShutDown => Some("it is shut down".to_owned()),
        };
        self.workers.iter().filter_map(|(name, worker)| Some((name.clone(), reason(worker)?))).collect()
    }

    /// Waits until a run has ended, the time is over, or the server is about to stop.
    pub async fn wait_for(&self, run: RunId, timeout: Duration) {
        let mut news = self.engine.subscribe(run, 0);
        let mut stopping = self.stopping.subscribe();
        let ended = async { while let Ok(Some(_)) = news.next().await {} };
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep(timeout) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Lets everyone go who waits for a run.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Stops the engine and ends the workers with everything that they have started.
    pub async fn shutdown(&self) {
        self.stop_waiting();
        self.engine.shutdown().await;
        join_all(self.workers.values().map(|worker| worker.shutdown())).await;
    }
}

/// A diagnostic for each step whose component nothing serves; `advice` is what may help when nothing is near.
#[must_use]
pub fn unserved(router: &Router, plan: &Plan, advice: Option<&str>) -> Vec<Diagnostic> {
    // A path without its slash has its own diagnostic, and routing could only repeat it.
    let steps = plan.steps.iter().enumerate().filter(|(_, step)| step.component.starts_with('/'));
    let found = steps.filter_map(|(place, step)| {
        let error = router.resolve(&step.component, &Value::null()).err()?;
        let path = Path::root().field("steps").index(place).field("component");
        let mut diagnostic = Diagnostic::new(Code::UnknownComponent, &path, error.message);
        diagnostic.help = advice.map(str::to_owned);
        (error.kind == ErrorKind::ComponentNotFound).then_some(diagnostic)
    });
    found.collect()
}

fn builtin_options(config: &Config) -> BuiltinOptions {
    BuiltinOptions { working_dir: config.folder.clone(), allow_paths: Vec::new() }
}

fn worker_options(config: &Config, name: &str, worker: &Worker) -> WorkerOptions {
    WorkerOptions {
        args: worker.args.clone(),
        env: worker.env.clone(),
        ..WorkerOptions::new(name, &worker.command, &config.folder)
    }
}
