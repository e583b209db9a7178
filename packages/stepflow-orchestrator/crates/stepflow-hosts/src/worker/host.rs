//! The component host of a plugin whose components workers serve.

use std::sync::{Arc, Once};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
use stepflow_flow::visible::quoted;
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::{Core, stopped};
use super::http;
use super::message::TooLong;
use super::options::{Transport, WorkerOptions};
use super::pool::{Instance, Pool, Shared};
use super::start_error::StartError;
use super::status::{Health, InstanceStatus};
use super::supervisor::{self, Starts};
use crate::served::ServedToWorkers;

/// The most bytes that an execute has besides its input and its component's path.
const ENVELOPE: usize = 4096;

/// A plugin whose components workers serve. It starts the processes, or connects to the addresses; it gives tasks to
/// the workers and replaces those that are lost.
pub struct WorkerHost {
    core: Arc<Core>,
    stop: watch::Sender<bool>,
    starts: Arc<Starts>,
    begun: Once,
    supervisors: Mutex<Vec<JoinHandle<()>>>,
}

impl WorkerHost {
    /// A host whose workers are not started yet: [`WorkerHost::start`] or the first offered task starts them.
    #[must_use]
    pub fn new(options: WorkerOptions, inbox: Arc<dyn Inbox>, served: ServedToWorkers) -> Self {
        let starts = Arc::new(Starts::new(options.slots()));
        let core = Arc::new(Core { options, shared: Shared::new(inbox), served });
        Self { core, stop: watch::Sender::new(false), starts, begun: Once::new(), supervisors: Mutex::default() }
    }

    /// Starts the workers and waits until one has answered the handshake or all have failed to. A worker that fails is
    /// started again in the background until [`WorkerHost::shutdown`]; while all fail, tasks are refused.
    ///
    /// # Errors
    ///
    /// Why the first process did not answer.
    pub async fn start(&self) -> Result<(), StartError> {
        self.supervise();
        let mut stop = self.stop.subscribe();
        tokio::select! {
            biased;
            started = self.starts.outcome() => started,
            _ = stop.wait_for(|stop| *stop) => Err(StartError::ShutDown { plugin: self.core.options.name.clone() }),
        }
    }

    /// Waits until every process has answered the handshake or failed to once. To be called after
    /// [`WorkerHost::start`]; does not return if the host is shut down before.
    pub async fn all_started(&self) {
        self.starts.all().await;
    }

    /// Starts the supervisors of the plugin's slots, once.
    fn supervise(&self) {
        self.begun.call_once(|| {
            let supervisor = |slot: usize| {
                let (core, stop, starts) = (Arc::clone(&self.core), self.stop.subscribe(), Arc::clone(&self.starts));
                match core.options.urls.get(slot).cloned() {
                    Some(url) => tokio::spawn(http::supervise(core, slot, url, stop, starts)),
                    None => tokio::spawn(supervisor::supervise(core, slot, stop, starts)),
                }
            };
            self.supervisors.lock().extend((0..self.starts.slots()).map(supervisor));
        });
    }

    /// What the workers serve, as each said at its last handshake.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        let components = self.core.shared.look(|pool| pool.components().cloned());
        components.map(|components| components.infos().to_vec()).unwrap_or_default()
    }

    /// Whether the plugin's workers take tasks.
    #[must_use]
    pub fn health(&self) -> Health {
        self.core.shared.look(Pool::health)
    }

    /// The transport of its workers, `stdio` or `http`. A process may turn out to serve HTTP.
    #[must_use]
    pub fn transport(&self) -> &'static str {
        let by_messages = |pool: &Pool| pool.instances().iter().any(Instance::takes_messages);
        let options = &self.core.options;
        let configured = !options.urls.is_empty() || options.transport == Transport::Http;
        if configured || self.core.shared.look(by_messages) { "http" } else { "stdio" }
    }

    /// The present workers, the oldest first.
    #[must_use]
    pub fn instances(&self) -> Vec<InstanceStatus> {
        let mut instances: Vec<_> = self
            .core
            .shared
            .look(|pool| pool.instances().iter().map(|instance| (instance.id, instance.status())).collect());
        instances.sort_by_key(|(id, _)| *id);
        instances.into_iter().map(|(_, status)| status).collect()
    }

    /// What the process that was started last wrote to stderr: the last 64 KiB.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        self.core.shared.look(|pool| pool.stderr_tail.clone()).all()
    }

    /// Ends the workers with all processes that they have started, and waits until they are gone. Open attempts are
    /// answered as lost, and none uses up a retry.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let supervisors = std::mem::take(&mut *self.supervisors.lock());
        // They end in a few seconds: every wait in them has a limit or ends with `stop`.
        join_all(supervisors).await;
        self.core.shared.with(Pool::shut_down);
    }
}

impl ComponentHost for WorkerHost {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        TooLong::check(input.size() + path.len() + ENVELOPE, self.core.options.max_message).map_err(|problem| {
            let message = format!("the message with the input of `{path}` is too long: {problem}");
            FlowError::new(ErrorKind::InvalidInput, message)
        })?;
        if !self.starts.is_known() && !*self.stop.borrow() {
            return Ok(Target::Undecided);
        }
        let plugin = &self.core.options.name;
        let (components, refusal, health) =
            self.core.shared.look(|pool| (pool.components().cloned(), pool.refusal().cloned(), pool.health()));
        match (components, refusal, health) {
            (Some(components), ..) => components.check(plugin, path, input)?,
            (None, Some(refusal), _) => return Err(refusal),
            (None, None, Health::ShutDown) => {
                let message = format!("the plugin {plugin} is shut down", plugin = quoted(plugin));
                return Err(FlowError::new(ErrorKind::Unreachable, message));
            }
            // What the worker serves is not known yet: it will say so itself.
            (None, None, _) => {}
        }
        let route = Route { plugin: plugin.clone(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn decided(&self, _path: &str) -> BoxFuture<'static, ()> {
        self.supervise();
        let (starts, mut stop) = (Arc::clone(&self.starts), self.stop.subscribe());
        async move {
            tokio::select! {
                () = starts.known() => {}
                () = stopped(&mut stop) => {}
            }
        }
        .boxed()
    }

    fn offer(&self, task: TaskEnvelope) {
        // A sub-run may need workers that the server had no reason to start before.
        self.supervise();
        self.core.shared.with(|pool| pool.offer(task));
    }

    fn proceed(&self, _route: &Route, task: Address, hold: u64) {
        self.core.shared.with(|pool| pool.proceed(task.task, hold));
    }

    fn cancel(&self, _route: &Route, task: Address, reason: &str) {
        self.core.shared.with(|pool| pool.cancel(task.task, reason));
    }
}

impl Instance {
    fn status(&self) -> InstanceStatus {
        InstanceStatus {
            name: self.about.name.clone(),
            address: self.address.clone(),
            state: self.state,
            version: self.about.version.clone(),
            capacity: self.capacity,
            open: self.connection.open().len(),
        }
    }
}
