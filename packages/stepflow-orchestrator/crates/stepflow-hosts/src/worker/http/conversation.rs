//! A worker over HTTP from its handshake to its end: its session and its open messages.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::session::{RESUME_DELAYS, Session};
use super::traffic::Traffic;
use crate::worker::caller::Caller;
use crate::worker::core::Core;
use crate::worker::pool::{ConnectionFailure, InstanceId};
use crate::worker::status::InstanceState;
use crate::worker::wire::Outgoing;

/// A conversation with an instance. Dropping it stops its open messages.
pub(crate) struct Conversation {
    traffic: Traffic,
    /// `None`: there is no session.
    keeper: Option<AbortHandle>,
}

impl Conversation {
    /// Sends the pool's messages to an instance and keeps its session: when the session is lost, the instance has
    /// failed. `owned`: it is a process of ours, whose end is noticed elsewhere.
    pub(crate) fn start(
        core: &Arc<Core>,
        id: InstanceId,
        client: &Arc<Client>,
        session: Session,
        owned: bool,
        outgoing: UnboundedReceiver<Outgoing>,
    ) -> Self {
        let caller = Caller::by_messages(core, id);
        let traffic = Traffic::start(core, id, &caller, client, &session, owned, outgoing);
        let kept = session.stream.is_some();
        let kept = kept.then(|| keep(Arc::clone(core), id, caller, Arc::clone(client), session, owned));
        Self { traffic, keeper: kept.map(|kept| tokio::spawn(kept).abort_handle()) }
    }

    /// Stops an execute whose answer is not needed any more.
    pub(crate) fn break_off(&self, request: i64) {
        self.traffic.break_off(request);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

/// Keeps a session, and resumes it as often as the worker allows. While a worker cannot be reached it gets no tasks. A
/// process of ours still gets some: its end is noticed elsewhere.
async fn keep(core: Arc<Core>, id: InstanceId, caller: Caller, client: Arc<Client>, mut session: Session, owned: bool) {
    let becomes = |now, next| {
        core.shared.with(|pool| {
            let instance = pool.instance_mut(id).filter(|instance| !owned && instance.state == now);
            instance.into_iter().for_each(|instance| instance.state = next);
        });
    };
    let mut pause = RESUME_DELAYS.0;
    let why = loop {
        let since = Instant::now();
        let why = read(&caller, &mut session).await;
        if !resumes(&core, id) {
            break why;
        }
        if since.elapsed() < RESUME_DELAYS.1 {
            // The stream may end each time as soon as it is open.
            sleep(pause).await;
            pause = (pause * 2).min(RESUME_DELAYS.1);
        } else {
            pause = RESUME_DELAYS.0;
        }
        let resumed = session.resume(&client, || becomes(InstanceState::Ready, InstanceState::Reconnecting)).await;
        if let Err(refused) = resumed {
            break format!("{why}, and the session cannot be taken up again: {refused}");
        }
        becomes(InstanceState::Reconnecting, InstanceState::Ready);
    };
    core.shared.with(|pool| {
        pool.instance_mut(id).map(|instance| instance.fail(ConnectionFailure { why, is_informative: false }))
    });
}

/// Reads the session's stream to its end; returns how it ended. The first published workers with sessions send their
/// requests there.
async fn read(caller: &Caller, session: &mut Session) -> String {
    while let Some(stream) = &mut session.stream {
        match stream.next().await {
            Ok(Some(event)) if event.kind == "message" => caller.receive(None, &event.data),
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(problem) => return format!("the stream of its session broke off: {problem}"),
        }
    }
    "the stream of its session ended".to_owned()
}

fn resumes(core: &Core, id: InstanceId) -> bool {
    core.shared.look(|pool| pool.instance(id).is_some_and(|worker| worker.connection.resumes()))
}
