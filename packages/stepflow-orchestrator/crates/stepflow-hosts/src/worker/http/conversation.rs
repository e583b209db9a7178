//! A worker over HTTP from its handshake to its end: its session, and the messages under way.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::client::Client;
use super::session::Session;
use super::traffic::Traffic;
use crate::worker::core::Core;
use crate::worker::pool::{InstanceId, Rupture};
use crate::worker::wire::Outgoing;

/// A conversation with an instance. Dropping it breaks off what is under way.
pub(crate) struct Conversation {
    traffic: Traffic,
    /// `None`: there is no session.
    keeper: Option<AbortHandle>,
}

impl Conversation {
    /// Carries what the pool says to an instance, and keeps its session: when that is lost, the instance has failed.
    /// `owned`: it is a process of ours, whose death is noticed.
    pub(crate) fn start(
        core: &Arc<Core>,
        id: InstanceId,
        client: &Arc<Client>,
        session: Session,
        owned: bool,
        outgoing: UnboundedReceiver<Outgoing>,
    ) -> Self {
        let traffic = Traffic::start(core, id, client, &session, owned, outgoing);
        let kept = session.stream.is_some().then(|| keep(Arc::clone(core), id, Arc::clone(client), session, owned));
        Self { traffic, keeper: kept.map(|kept| tokio::spawn(kept).abort_handle()) }
    }

    /// Breaks off an execute for which nobody waits any more.
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

/// Keeps a session, and takes it up again as often as the worker allows. A worker that is not reached at once gets no
/// more tasks, but for a process of ours, of which it is known when it ends.
async fn keep(core: Arc<Core>, id: InstanceId, client: Arc<Client>, mut session: Session, owned: bool) {
    let missed = || {
        if !owned {
            core.shared.with(|pool| pool.leave(id));
        }
    };
    let mut why = read(&core, id, &mut session).await;
    while resumes(&core, id) {
        match session.resume(&client, missed).await {
            Ok(()) => why = read(&core, id, &mut session).await,
            Err(refused) => {
                why = format!("{why}, and the session cannot be taken up again: {refused}");
                break;
            }
        }
    }
    core.shared.with(|pool| pool.instance_mut(id).map(|instance| instance.fail(Rupture { why, telling: false })));
}

/// Reads the session's stream to its end; says how that was. Workers of the first published line with sessions make
/// their requests there.
async fn read(core: &Arc<Core>, id: InstanceId, session: &mut Session) -> String {
    while let Some(stream) = &mut session.stream {
        match stream.next().await {
            Ok(Some(event)) if event.kind == "message" => core.receive(id, None, &event.data),
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
