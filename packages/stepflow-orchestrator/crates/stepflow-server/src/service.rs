//! The parts of a running server, put together: store, hosts, router, engine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending};
use stepflow_engine::ports::{Clock, ComponentHost, Inbox, SystemClock};
use stepflow_engine::{Engine, Ports, Shards};
use stepflow_flow::subflow;
use stepflow_flow::{Code, Diagnostic, Flow, Path, Plan};
use stepflow_hosts::{
    BuiltinHost, BuiltinOptions, Health, MockHost, OpenAiOptions, Router, ServedToWorkers, StartError, WorkerHost,
    WorkerOptions,
};
use stepflow_protocol::RunId;
use tokio::sync::watch;

use crate::catalog::{Catalog, Serves};
use crate::config::{Advice, Builtin, Config, Plugin, Worker};
use crate::plugins::{Listed, Plugins};
use crate::store::Store;
use crate::worker_runs::WorkerRuns;

/// How long a server that ends at once waits for its store.
const ABANDONING: Duration = Duration::from_secs(1);

/// The most drivers that the engine runs.
const MOST_DRIVERS: usize = 8;

/// A server with the plugins of a configuration.
pub struct Service {
    /// Runs flows.
    pub engine: Engine,
    /// Keeps runs and flows.
    pub store: Store,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    router: Arc<Router>,
    workers: BTreeMap<String, Arc<WorkerHost>>,
    /// All plugins that can say what they serve, each with its type.
    lists: BTreeMap<String, (&'static str, Arc<dyn Serves>)>,
    stopping: watch::Sender<bool>,
}

/// Which workers are to be started.
#[derive(Clone, Copy)]
pub enum Needs<'a> {
    /// All.
    Everything,
    /// Those that a flow's components lead to.
    Plan(&'a Plan),
    /// Those that these components lead to.
    Paths(&'a BTreeSet<&'a str>),
}

impl Service {
    /// Puts the parts together; starts no worker yet. To be called inside a tokio runtime. Runs that are open in the
    /// store go on, unless the engine's options say otherwise.
    ///
    /// When they are shut down, workers have `grace` to end by themselves, and as long again after SIGTERM.
    ///
    /// # Errors
    /// When a route cannot be followed; not for routes that were read from a file.
    pub fn new(config: &Config, store: Store, grace: Duration) -> Result<Self, stepflow_hosts::RouteError> {
        Self::with_host(config, store, grace, |router, _| router)
    }

    /// The same for a server, whose tasks wait for workers that are not up yet: those may start later than it does.
    ///
    /// # Errors
    /// When a route cannot be followed; not for routes that were read from a file.
    pub fn serving(config: &Config, store: Store, grace: Duration) -> Result<Self, stepflow_hosts::RouteError> {
        Self::build(config, store, grace, true, |router, _| router)
    }

    /// The same, with a component host of the caller's between the engine and the routes.
    ///
    /// # Errors
    /// When a route cannot be followed; not for routes that were read from a file.
    pub fn with_host(
        config: &Config,
        store: Store,
        grace: Duration,
        host: impl FnOnce(Arc<dyn ComponentHost>, Arc<dyn Inbox>) -> Arc<dyn ComponentHost>,
    ) -> Result<Self, stepflow_hosts::RouteError> {
        Self::build(config, store, grace, false, host)
    }

    fn build(
        config: &Config,
        store: Store,
        grace: Duration,
        waits: bool,
        host: impl FnOnce(Arc<dyn ComponentHost>, Arc<dyn Inbox>) -> Arc<dyn ComponentHost>,
    ) -> Result<Self, stepflow_hosts::RouteError> {
        let (inbox, mailbox) = stepflow_engine::inbox(drivers());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let engine = mailbox.engine(Arc::clone(&store.journal), Arc::clone(&clock));
        let runs = Arc::new(WorkerRuns::new(engine, store.clone()));
        let mut hosts: BTreeMap<String, Arc<dyn ComponentHost>> = BTreeMap::new();
        let mut workers = BTreeMap::new();
        let mut lists: BTreeMap<String, (&'static str, Arc<dyn Serves>)> = BTreeMap::new();
        for (name, plugin) in &config.plugins {
            let (inbox, blobs) = (Arc::clone(&inbox), Arc::clone(&store.blobs));
            let host: Arc<dyn ComponentHost> = match plugin {
                Plugin::Builtin(builtin) => {
                    let builtin = Arc::new(BuiltinHost::new(builtin_options(config, builtin), inbox, blobs));
                    lists.insert(name.clone(), (plugin.type_name(), Arc::clone(&builtin) as _));
                    builtin
                }
                Plugin::Stepflow(worker) => {
                    let served = ServedToWorkers { blobs, runs: Arc::clone(&runs) as _ };
                    let options = worker_options(config, name, worker);
                    let patience = if waits { options.start_timeout } else { Duration::ZERO };
                    let options = WorkerOptions { shutdown_grace: grace, patience, ..options };
                    let worker = Arc::new(WorkerHost::new(options, inbox, served));
                    workers.insert(name.clone(), Arc::clone(&worker));
                    lists.insert(name.clone(), (plugin.type_name(), Arc::clone(&worker) as _));
                    worker
                }
                Plugin::Mock(mock) => {
                    let mut options = mock.options.clone();
                    options.validate_outputs = mock.validate_outputs.unwrap_or(config.validate_outputs);
                    let mock = Arc::new(MockHost::new(options, inbox));
                    lists.insert(name.clone(), (plugin.type_name(), Arc::clone(&mock) as _));
                    mock
                }
            };
            hosts.insert(name.clone(), host);
        }
        let router = Arc::new(Router::new(hosts, config.routes.iter().cloned(), Arc::clone(&inbox))?);
        let host = host(Arc::clone(&router) as _, inbox);
        let ports = Ports { journal: Arc::clone(&store.journal), host, clock: Arc::clone(&clock) };
        let engine = Engine::start(config.engine.clone(), ports, mailbox);
        Ok(Self { engine, store, clock, router, workers, lists, stopping: watch::Sender::new(false) })
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

    /// Waits until every worker process has answered or failed to, when they have been started.
    pub async fn all_started(&self) {
        join_all(self.workers.values().map(|worker| worker.all_started())).await;
    }

    /// The names of the workers that will be started.
    #[must_use]
    pub fn names(&self, needs: Needs<'_>) -> Vec<&str> {
        self.needed(needs).into_iter().map(|(name, _)| name).collect()
    }

    fn needed(&self, needs: Needs<'_>) -> Vec<(&str, &WorkerHost)> {
        let wanted: Option<BTreeSet<String>> = match needs {
            Needs::Everything => None,
            Needs::Paths(paths) => {
                let routes = paths.iter().flat_map(|path| self.router.routes(path));
                Some(routes.map(|route| route.plugin).collect())
            }
            Needs::Plan(plan) => self.plugins_of(&plan.flow),
        };
        let wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(name));
        self.workers.iter().filter(|(name, _)| wanted(name)).map(|(name, worker)| (name.as_str(), &**worker)).collect()
    }

    /// The plugins that the steps of a flow and of the flows inside it lead to. `None`, which is all of them, when a
    /// step runs a flow that is not known before.
    fn plugins_of(&self, flow: &Flow) -> Option<BTreeSet<String>> {
        let mut plugins = BTreeSet::new();
        let mut known = true;
        let takers = |path: &str| self.router.takes_flow(path);
        subflow::each_step(flow, &takers, &Path::root(), &mut |step, place| {
            let is_written = || subflow::flow(step, &takers, place).is_some();
            known &= !self.router.runs_flows(&step.component) || is_written();
            plugins.extend(self.router.routes(&step.component).into_iter().map(|route| route.plugin));
        });
        known.then_some(plugins)
    }

    /// Where each path leads, and what is there.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// The plugins that take no tasks now, each with the reason.
    #[must_use]
    pub fn not_ready(&self) -> Vec<(String, String)> {
        let reason = |worker: &WorkerHost| match worker.health() {
            Health::Ready => None,
            Health::Starting => Some("it is starting".to_owned()),
            // What the worker wrote is for its owner, in the log: this is for every client.
            Health::Awaited(why) | Health::Down(why) => Some(without_stderr(&why).to_owned()),
            Health::ShutDown => Some("it is shut down".to_owned()),
        };
        self.workers.iter().filter_map(|(name, worker)| Some((name.clone(), reason(worker)?))).collect()
    }

    /// The components of the plugins, as far as these have listed them.
    #[must_use]
    pub fn catalog(&self) -> Catalog {
        let lists = self.lists.iter().map(|(name, (_, plugin))| (name.as_str(), plugin.components()));
        Catalog::new(&self.router, lists, self.not_ready())
    }

    /// The plugins and their workers, as they are now.
    #[must_use]
    pub fn plugins(&self) -> Plugins {
        let listed = |(name, (r#type, plugin)): (&String, &(&'static str, Arc<dyn Serves>))| {
            let inside = || Listed::inside(name, r#type, plugin.components().len());
            self.workers.get(name).map_or_else(inside, |host| Listed::of(name, r#type, host))
        };
        Plugins { plugins: self.lists.iter().map(listed).collect() }
    }

    /// Waits until a run has ended, the time is over, or the server is about to stop.
    pub async fn wait_for(&self, run: RunId, timeout: Duration) {
        let mut stopping = self.stopping.subscribe();
        tokio::select! {
            () = self.engine.ended(run, None) => {}
            () = tokio::time::sleep(timeout) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
    }

    /// Ends the waiting of everyone who waits for a run.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Lets steps end that are under way, and begins no others. Of what is kept in memory nothing is left afterwards, so
    /// nothing is waited for.
    pub async fn drain(&self) {
        if self.store.is_durable() {
            self.engine.drain().await;
        }
    }

    /// Takes note that this end of the server is wanted: for what its workers have, it is no crash. Waits for nothing
    /// else.
    pub async fn abandon(&self) {
        let left = self.store.journal.leave(Shards::ALL);
        // A store that does not answer now cannot be told.
        let _ = tokio::time::timeout(ABANDONING, left).await;
    }

    /// Ends the workers with everything that they have started, stops the engine, and closes the store. What workers
    /// bring to an end until they are gone is stored.
    pub async fn shutdown(&self) {
        self.stop_waiting();
        let workers = join_all(self.workers.values().map(|worker| worker.shutdown()));
        tokio::select! {
            biased;
            // Nothing is begun from now on. Some host may never be done with what it has.
            () = self.engine.drain().then(|()| pending()) => {}
            _ = workers => {}
        }
        self.engine.shutdown().await;
        self.store.close().await;
    }
}

/// The first line of a failure. Where a worker's last lines follow, it ends with their announcement.
fn without_stderr(why: &str) -> &str {
    let first = why.lines().next().unwrap_or_default();
    first.strip_suffix(stepflow_hosts::LAST_LINES).unwrap_or(first)
}

/// A driver of the engine for each core, but not too many: the rest of the server needs cores, too.
fn drivers() -> u8 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u8::try_from(cores.min(MOST_DRIVERS)).unwrap_or(1)
}

/// A diagnostic for each step whose component nothing serves, with what may help.
#[must_use]
pub fn unserved(router: &Router, plan: &Plan, advice: Advice) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let takers = |path: &str| router.takes_flow(path);
    subflow::each_step(&plan.flow, &takers, &Path::root(), &mut |step, place| {
        // A path without its slash has its own diagnostic, and routing could only repeat it.
        if step.component.starts_with('/')
            && let Err(error) = router.serves(&step.component)
        {
            let path = place.clone().field("component");
            let mut diagnostic = Diagnostic::new(Code::UnknownComponent, &path, error.message);
            let at_builtin = format!("/builtin{}", step.component);
            diagnostic.help = match router.serves(&at_builtin) {
                Ok(_) => Some(format!("did you mean `{at_builtin}`?")),
                Err(_) => advice.on(&step.component).map(str::to_owned),
            };
            found.push(diagnostic);
        }
    });
    found
}

fn builtin_options(config: &Config, builtin: &Builtin) -> BuiltinOptions {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    BuiltinOptions {
        working_dir: config.folder.clone(),
        allow_paths: builtin.allow_paths.clone(),
        config_files: config.files(),
        openai: OpenAiOptions {
            api_key: set("OPENAI_API_KEY"),
            base_url: set("OPENAI_BASE_URL"),
            base_urls: builtin.openai_base_urls.clone(),
            timeout: None,
        },
        renderer: crate::PROGRAM.get().cloned(),
    }
}

fn worker_options(config: &Config, name: &str, worker: &Worker) -> WorkerOptions {
    let usual = WorkerOptions::new(name, &worker.command, &config.folder);
    WorkerOptions {
        args: worker.args.clone(),
        urls: worker.urls.clone(),
        transport: worker.transport,
        token: worker.token.clone(),
        filled_in: worker.filled_in.clone(),
        health_check: worker.health_check.clone(),
        env: worker.env.clone(),
        inherit_env: worker.inherit_env.clone(),
        withheld_env: config.withheld_env.clone(),
        start_timeout: worker.start_timeout.unwrap_or(usual.start_timeout),
        instances: worker.instances.unwrap_or(usual.instances),
        max_concurrency: worker.max_concurrency,
        cancel_grace: worker.cancel_grace.unwrap_or(usual.cancel_grace),
        watcher: crate::PROGRAM.get().cloned(),
        max_message: worker.max_message.unwrap_or(usual.max_message),
        validate_outputs: worker.validate_outputs.unwrap_or(config.validate_outputs),
        ..usual
    }
}
