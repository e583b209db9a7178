//! Keeps a worker process running in a slot of its plugin: starts it, notices when it ends or cannot be used any more,
//! and starts it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::Refusal;
use super::core::{Core, stopped};
use super::crash::{crashed, unused};
use super::incarnation::{Death, Fault, Incarnation};
use super::pool::{Loss, shut_down};
use super::start_error::StartError;

/// How the first starts went, for the callers that wait for them.
pub(crate) struct Starts {
    slots: usize,
    outcomes: watch::Sender<Outcomes>,
}

#[derive(Default)]
struct Outcomes {
    ready: BTreeSet<usize>,
    failed: BTreeMap<usize, StartError>,
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

    /// Whether one worker has answered, or none will.
    pub(crate) fn is_known(&self) -> bool {
        self.suffice(&self.outcomes.borrow())
    }

    fn suffice(&self, outcomes: &Outcomes) -> bool {
        !outcomes.ready.is_empty() || outcomes.failed.len() >= self.slots
    }

    /// Waits until one worker has answered or none will.
    pub(crate) async fn outcome(&self) -> Result<(), StartError> {
        let mut outcomes = self.outcomes.subscribe();
        match outcomes.wait_for(|outcomes| self.suffice(outcomes)).await.ok().as_deref() {
            Some(Outcomes { ready, failed }) if ready.is_empty() => failed.values().next().cloned().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// Waits until every slot has answered or failed once.
    pub(crate) async fn all(&self) {
        let mut outcomes = self.outcomes.subscribe();
        let told = |Outcomes { ready, failed }: &Outcomes| {
            (0..self.slots).all(|slot| ready.contains(&slot) || failed.contains_key(&slot))
        };
        // The sender lives as long as this.
        let _ = outcomes.wait_for(told).await;
    }
}

/// How a process ended.
enum End {
    /// It never answered the handshake.
    NotStarted(StartError),
    /// It died; it is started again after this time.
    Died(Duration),
    /// It is to be replaced.
    Replaced {
        /// It had answered an execute, or had one that did not end.
        was_of_use: bool,
    },
    /// We were asked to end.
    ShutDown,
}

/// Runs until `stop` says true or its sender is gone.
pub(crate) async fn supervise(core: Arc<Core>, slot: usize, mut stop: watch::Receiver<bool>, starts: Arc<Starts>) {
    let mut has_served = false;
    let mut failed_starts = 0;
    let mut retired = JoinSet::new();
    loop {
        let delay = match live(&core, slot, &mut stop, &starts, &mut retired).await {
            End::ShutDown => break,
            End::NotStarted(error) if has_served => crashed(&core, None, &error.to_string(), ""),
            End::NotStarted(error) => {
                failed_starts += 1;
                core.shared.with(|pool| {
                    pool.start_failed(slot, starts.slots(), error.as_flow_error(&core.options.name));
                });
                if failed_starts == 1 {
                    // Returned by `start`, whose caller reports it.
                    starts.failed(slot, error);
                } else {
                    tracing::warn!(plugin = core.options.name, "{error}");
                }
                core.options.restart.delay(failed_starts)
            }
            End::Died(delay) => {
                has_served = true;
                delay
            }
            End::Replaced { was_of_use: true } => {
                has_served = true;
                Duration::ZERO
            }
            // A process that never accepts anything would be replaced for ever.
            End::Replaced { was_of_use: false } => {
                has_served = true;
                unused(&core)
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
) -> End {
    let incarnation = match Incarnation::start(core).await {
        Ok(incarnation) => incarnation,
        Err(error) => return End::NotStarted(error),
    };
    let greeted = tokio::select! {
        greeted = incarnation.greet(core, slot) => greeted,
        () = stopped(stop) => {
            incarnation.shut_down(core).await;
            return End::ShutDown;
        }
    };
    if let Err(fault) = greeted {
        let words = incarnation.finish(core, &Loss::Ordered(shut_down())).await;
        return End::NotStarted(start_error(core, fault, words));
    }
    starts.ready(slot);
    tokio::select! {
        death = incarnation.death() => End::Died(record_death(core, incarnation, death).await),
        () = incarnation.dismissal(core) => {
            let was_of_use = incarnation.was_of_use(core);
            retired.spawn(incarnation.retire(Arc::clone(core), stop.clone()));
            End::Replaced { was_of_use }
        }
        () = stopped(stop) => {
            incarnation.shut_down(core).await;
            End::ShutDown
        }
    }
}

/// Answers the attempts of a dead process. A process that has done work and ended with status 0 is not a crash: its
/// successor starts at once.
async fn record_death(core: &Core, incarnation: Incarnation, death: Death) -> Duration {
    let (id, age) = (incarnation.id, incarnation.born.elapsed());
    let words = incarnation.drain().await;
    let (idle, answered) = core.shared.look(|pool| {
        let instance = pool.instance(id);
        instance.map_or((true, 0), |instance| (instance.connection.open().len() == 0, instance.answered))
    });
    // A worker that always ends right after its start would be started for ever.
    let was_of_use = answered > 0 || age >= core.options.restart.max_delay;
    if death.clean && idle && was_of_use {
        core.shared.with(|pool| pool.unlink(id, &Loss::Ordered(shut_down())));
        return Duration::ZERO;
    }
    crashed(core, Some(id), &death.how, &words)
}

fn start_error(core: &Core, fault: Fault, stderr: String) -> StartError {
    let (plugin, command) = (core.options.name.clone(), core.command_line());
    match fault {
        Fault::Ended(status) => StartError::Died { plugin, command, status, stderr },
        Fault::TimedOut => StartError::Timeout { plugin, command, after: core.options.start_timeout, stderr },
        Fault::Refused(Refusal::Unreached(problem)) => StartError::NotUp { plugin, command, problem, stderr },
        Fault::Refused(Refusal::Protocol(problem)) => StartError::Protocol { plugin, command, problem, stderr },
        // A second port.
        Fault::Refused(Refusal::Port(port)) => {
            let problem = format!("it says again that it serves HTTP, now on port {port}");
            StartError::Protocol { plugin, command, problem, stderr }
        }
    }
}
