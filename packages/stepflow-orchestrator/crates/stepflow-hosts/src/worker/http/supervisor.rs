//! Keeps a conversation with the worker at one address: begins it, notices its end, and begins it again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::address::Address;
use super::client::Client;
use super::peer::{Peer, PeerChange, start_error_at};
use super::session::Trouble;
use crate::worker::core::Core;
use crate::worker::core::stopped;
use crate::worker::start_error::StartError;
use crate::worker::supervisor::Starts;

/// How a conversation ended.
enum ConversationEnd {
    /// It could not begin.
    NotBegun(StartError),
    /// The worker is lost or takes no more tasks.
    Over {
        /// It had answered executes, or had some when it was lost.
        was_useful: bool,
    },
    /// We were asked to end.
    ShutDown,
}

/// Runs until `stop` says true or its sender is gone.
pub(crate) async fn supervise(
    core: Arc<Core>,
    slot: usize,
    url: String,
    mut stop: watch::Receiver<bool>,
    starts: Arc<Starts>,
) {
    let client = Address::parse(&url).and_then(|address| Client::new(address, &core.options));
    let client = client.map(Arc::new).map_err(|problem| start_error_at(&core, &url, Trouble::Wrong(problem)));
    let (mut has_served, mut failures, mut lost_at) = (false, 0, Instant::now());
    let mut leaving = JoinSet::new();
    loop {
        let end = match &client {
            Ok(client) => converse(&core, slot, &url, client, &mut stop, &starts, &mut leaving).await,
            Err(error) => ConversationEnd::NotBegun(error.clone()),
        };
        let mut longest = Duration::MAX;
        failures = if matches!(end, ConversationEnd::Over { was_useful: true }) { 1 } else { failures + 1 };
        match end {
            ConversationEnd::ShutDown => break,
            ConversationEnd::Over { .. } => (has_served, lost_at) = (true, Instant::now()),
            ConversationEnd::NotBegun(error) => {
                let (policy, refusal) = (&core.options.restart, error.as_flow_error(&core.options.name));
                let patience = core.options.patience.saturating_sub(lost_at.elapsed());
                // A worker that has served before may be in a restart, so it is waited for.
                let in_vain = failures >= policy.crashes && lost_at.elapsed() >= policy.max_delay;
                let is_absent = matches!(error, StartError::Unreached { .. });
                if (is_absent && !patience.is_zero()) || (has_served && !in_vain) {
                    core.shared.with(|pool| pool.await_worker(refusal));
                } else {
                    core.shared.with(|pool| pool.start_failed(slot, starts.slots(), refusal, patience.is_zero()));
                    starts.given_up(slot);
                }
                if !patience.is_zero() {
                    longest = patience;
                }
                if has_served || failures > 1 {
                    tracing::warn!("{error}");
                } else {
                    // Returned by `start`, whose caller reports it.
                    starts.failed(slot, error);
                }
            }
        }
        while leaving.try_join_next().is_some() {}
        tokio::select! {
            () = sleep(core.options.restart.delay(failures).min(longest)) => {}
            () = stopped(&mut stop) => break,
        }
    }
    while leaving.join_next().await.is_some() {}
}

/// One conversation, as long as the worker gets tasks.
async fn converse(
    core: &Arc<Core>,
    slot: usize,
    url: &str,
    client: &Arc<Client>,
    stop: &mut watch::Receiver<bool>,
    starts: &Starts,
    leaving: &mut JoinSet<()>,
) -> ConversationEnd {
    let begun = tokio::select! {
        begun = Peer::begin(core, slot, url, client) => begun,
        () = stopped(stop) => return ConversationEnd::ShutDown,
    };
    let peer = match begun {
        Ok(peer) => peer,
        Err(error) => return ConversationEnd::NotBegun(error),
    };
    starts.ready(slot);
    let change = tokio::select! {
        change = peer.wait_until_leaving() => change,
        () = stopped(stop) => {
            peer.shut_down().await;
            return ConversationEnd::ShutDown;
        }
    };
    let was_useful = peer.was_useful();
    match change {
        PeerChange::Lost(how) => peer.lost(&how),
        // It finishes the tasks that it has.
        PeerChange::Leaving | PeerChange::Idle => _ = leaving.spawn(peer.retire(stop.clone())),
    }
    ConversationEnd::Over { was_useful }
}
