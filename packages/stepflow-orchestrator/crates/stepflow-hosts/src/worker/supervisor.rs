//! Keeps a worker process running in a slot of its plugin: starts it, notices when it ends or cannot be used any more,
//! and starts it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::HandshakeError;
use super::core::{Core, stopped};
use super::crash::{crashed, never_accepted};
use super::pool::{Loss, shut_down};
use super::start_error::StartError;
use super::worker_process::{Death, GreetError, WorkerProcess};

/// How the first starts went, for the callers that wait for them.
pub(crate) struct Starts {
    slots: usize,
    outcomes: watch::Sender<Outcomes>,
}

#[derive(Default)]
struct Outcomes {
    ready: BTreeSet<usize>,
    failed: BTreeMap<usize, StartError>,
    /// The slots without a worker for which new tasks do not wait any more.
    given_up: BTreeSet<usize>,
}

impl Starts {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, outcomes: watch::Sender::default() }
    }

    /// How many workers the plugin has.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// The worker in this slot has answered.
    pub(crate) fn ready(&self, slot: usize) {
        self.outcomes.send_if_modified(|outcomes| outcomes.ready.insert(slot));
    }

    /// The first start in this slot failed.
    pub(crate) fn failed(&self, slot: usize, error: StartError) {
        self.outcomes.send_modify(|outcomes| _ = outcomes.failed.insert(slot, error));
    }

    /// New tasks do not wait for the worker in this slot any more.
    pub(crate) fn given_up(&self, slot: usize) {
        self.outcomes.send_if_modified(|outcomes| outcomes.given_up.insert(slot));
    }

    /// Whether one worker has answered, or none is waited for.
    pub(crate) fn is_known(&self) -> bool {
        self.decide(&self.outcomes.borrow())
    }

    /// Waits until one worker has answered, or none is waited for.
    pub(crate) async fn known(&self) {
        let mut outcomes = self.outcomes.subscribe();
        // The sender lives as long as this.
        let _ = outcomes.wait_for(|outcomes| self.decide(outcomes)).await;
    }

    fn decide(&self, outcomes: &Outcomes) -> bool {
        !outcomes.ready.is_empty() || outcomes.given_up.len() >= self.slots
    }

    fn suffice(&self, outcomes: &Outcomes) -> bool {
        !outcomes.ready.is_empty() || outcomes.failed.len() >= self.slots
    }

    /// Waits until one worker has answered, or all have failed to once.
    pub(crate) async fn outcome(&self) -> Result<(), StartError> {
        let mut outcomes = self.outcomes.subscribe();
        match outcomes.wait_for(|outcomes| self.suffice(outcomes)).await.ok().as_deref() {
            Some(Outcomes { ready, failed, .. }) if ready.is_empty() => {
                failed.values().next().cloned().map_or(Ok(()), Err)
            }
            _ => Ok(()),
        }
    }

    /// Waits until every slot has answered or failed once.
    pub(crate) async fn all(&self) {
        let mut outcomes = self.outcomes.subscribe();
        let told = |Outcomes { ready, failed, .. }: &Outcomes| {
            (0..self.slots).all(|slot| ready.contains(&slot) || failed.contains_key(&slot))
        };
        // The sender lives as long as this.
        let _ = outcomes.wait_for(told).await;
    }
}

/// How a process ended.
enum ProcessEnd {
    /// It never answered the handshake.
    NotStarted(StartError),
    /// It died; it is started again after this time.
    Died(Duration),
    /// It is to be replaced.
    Replaced {
        /// It had answered an execute, or had one that did not end.
        was_useful: bool,
    },
    /// We were asked to end.
    ShutDown,
}

/// Runs until `stop` says true or its sender is gone.
pub(crate) async fn supervise(core: Arc<Core>, slot: usize, mut stop: watch::Receiver<bool>, starts: Arc<Starts>) {
    let mut has_served = false;
    let (mut failed_starts, begun) = (0, Instant::now());
    let mut retired = JoinSet::new();
    loop {
        let delay = match live(&core, slot, &mut stop, &starts, &mut retired).await {
            ProcessEnd::ShutDown => break,
            ProcessEnd::NotStarted(error) if has_served => crashed(&core, None, &error.to_string(), ""),
            ProcessEnd::NotStarted(error) => {
                failed_starts += 1;
                let patience = core.options.patience.saturating_sub(begun.elapsed());
                let refusal = error.as_flow_error(&core.options.name);
                core.shared.with(|pool| pool.start_failed(slot, starts.slots(), refusal, patience.is_zero()));
                starts.given_up(slot);
                if failed_starts == 1 {
                    // Returned by `start`, whose caller reports it.
                    starts.failed(slot, error);
                } else {
                    tracing::warn!("{error}");
                }
                let delay = core.options.restart.delay(failed_starts);
                if patience.is_zero() { delay } else { delay.min(patience) }
            }
            ProcessEnd::Died(delay) => {
                has_served = true;
                delay
            }
            ProcessEnd::Replaced { was_useful: true } => {
                has_served = true;
                Duration::ZERO
            }
            // A process that never accepts anything would be replaced for ever.
            ProcessEnd::Replaced { was_useful: false } => {
                has_served = true;
                never_accepted(&core)
            }
        };
        while retired.try_join_next().is_some() {}
        tokio::select! {
            () = sleep(delay) => {}
            () = stopped(&mut stop) => break,
        }
    }
    while retired.join_next().await.is_some() {}
}

/// One process, from its start to its end.
async fn live(
    core: &Arc<Core>,
    slot: usize,
    stop: &mut watch::Receiver<bool>,
    starts: &Starts,
    retired: &mut JoinSet<()>,
) -> ProcessEnd {
    let process = match WorkerProcess::start(core).await {
        Ok(process) => process,
        Err(error) => return ProcessEnd::NotStarted(error),
    };
    let greeted = tokio::select! {
        greeted = process.greet(core, slot) => greeted,
        () = stopped(stop) => {
            process.shut_down(core).await;
            return ProcessEnd::ShutDown;
        }
    };
    if let Err(fault) = greeted {
        let stderr = process.finish(core, &Loss::Ordered(shut_down())).await;
        return ProcessEnd::NotStarted(start_error(core, fault, stderr));
    }
    starts.ready(slot);
    tokio::select! {
        death = process.death() => ProcessEnd::Died(record_death(core, process, death).await),
        () = process.wait_until_replaceable(core) => {
            let was_useful = process.was_useful(core);
            retired.spawn(process.retire(Arc::clone(core), stop.clone()));
            ProcessEnd::Replaced { was_useful }
        }
        () = stopped(stop) => {
            process.shut_down(core).await;
            ProcessEnd::ShutDown
        }
    }
}

/// Answers the attempts of a dead process. A process that has done work and ended with status 0 is not a crash: its
/// successor starts at once.
async fn record_death(core: &Core, process: WorkerProcess, death: Death) -> Duration {
    let (id, age) = (process.id, process.started_at.elapsed());
    let stderr = process.drain().await;
    let (idle, answered) = core.shared.look(|pool| {
        let instance = pool.instance(id);
        instance.map_or((true, 0), |instance| (instance.connection.open().len() == 0, instance.answered))
    });
    // A worker that always ends right after its start would be started for ever.
    let was_useful = answered > 0 || age >= core.options.restart.max_delay;
    if death.clean && idle && was_useful {
        core.shared.with(|pool| pool.remove_instance(id, &Loss::Ordered(shut_down())));
        return Duration::ZERO;
    }
    crashed(core, Some(id), &death.how, &stderr)
}

fn start_error(core: &Core, fault: GreetError, stderr: String) -> StartError {
    let (plugin, command) = (core.options.name.clone(), core.command_line());
    match fault {
        GreetError::Ended(status) => StartError::Died { plugin, command, status, stderr },
        GreetError::TimedOut => StartError::Timeout { plugin, command, after: core.options.start_timeout, stderr },
        GreetError::Refused(HandshakeError::Unreached(problem)) => {
            StartError::NotUp { plugin, command, problem, stderr }
        }
        GreetError::Refused(HandshakeError::Protocol(problem)) => {
            StartError::Protocol { plugin, command, problem, stderr }
        }
        // A second port.
        GreetError::Refused(HandshakeError::Port(port)) => {
            let problem = format!("it says again that it serves HTTP, now on port {port}");
            StartError::Protocol { plugin, command, problem, stderr }
        }
    }
}
