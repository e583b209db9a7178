//! A process of ours that serves HTTP on a port: the server waits until it is up and then uses HTTP.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::address::Address;
use super::client::Client;
use super::conversation::Conversation;
use super::session::{Session, Trouble};
use crate::worker::connection::HandshakeError;
use crate::worker::core::Core;
use crate::worker::options::HealthCheck;
use crate::worker::pool::InstanceId;
use crate::worker::wire::Wire;

/// Moves the conversation with a process from its pipes to this port.
pub(crate) async fn move_to(core: &Arc<Core>, id: InstanceId, port: u16) -> Result<Conversation, HandshakeError> {
    let address = Address::parse(&format!("http://127.0.0.1:{port}")).map_err(HandshakeError::Protocol)?;
    let client = Client::new(address, &core.options).map_err(HandshakeError::Protocol)?;
    let up = wait_until_up(&client, &core.options.health_check).await;
    up.map_err(|problem| HandshakeError::Unreached(core.options.shown(&problem)))?;
    let client = Arc::new(client);
    let session = Session::open(&client).await.map_err(|trouble| match trouble {
        Trouble::Absent(problem) => HandshakeError::Unreached(problem),
        Trouble::Wrong(problem) => HandshakeError::Protocol(problem),
    })?;
    let (sender, outgoing) = mpsc::unbounded_channel();
    core.shared.with(|pool| pool.switch_to_http(id, Wire::Messages(Some(sender)), port));
    Ok(Conversation::start(core, id, &client, session, true, outgoing))
}

async fn wait_until_up(client: &Client, check: &HealthCheck) -> Result<(), String> {
    let place = client.address.below(&check.path)?;
    let deadline = Instant::now() + check.timeout;
    let mut seen = "no answer".to_owned();
    loop {
        match timeout_at(deadline, client.status(&place)).await {
            Ok(Ok(status)) if status.is_success() => return Ok(()),
            Ok(Ok(status)) => seen = format!("HTTP {status}"),
            Ok(Err(fault)) => seen = fault.to_string(),
            Err(_) => {}
        }
        if Instant::now() + check.retry_delay >= deadline {
            let (url, limit) = (client.address.uri(), check.timeout.as_secs_f64());
            return Err(format!(
                "its health check, `{}` at `{url}`, had no success within {limit} s: {seen}",
                check.path
            ));
        }
        sleep(check.retry_delay).await;
    }
}
