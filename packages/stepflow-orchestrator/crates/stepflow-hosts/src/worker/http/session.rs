//! A session with a worker: a stream of events that stays open, and the URL for all messages, which the stream names.
//! The first published workers have no sessions: to them every message is independent.

use std::time::Duration;

use hyper::StatusCode;
use hyper::http::uri::PathAndQuery;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::client::{Client, Events, Reply};
use super::sse::Event;

const EVENTS: &str = "/runtime/events";

/// How long the stream may send no event before the worker is treated as one without sessions.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a worker keeps a session whose stream was lost.
pub(super) const SESSION_KEPT: Duration = Duration::from_secs(30);

/// The first wait before a lost stream is requested again, and the longest.
pub(super) const RESUME_DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How messages reach a worker.
pub(crate) struct Session {
    /// The path for messages.
    pub(crate) endpoint: PathAndQuery,
    /// `None`: there is no session.
    pub(crate) stream: Option<Box<Events>>,
}

/// Why it could not be found out how messages reach a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing listens there, or it is not ready yet.
    Absent(String),
    /// What listens there is not a worker that we can use.
    Wrong(String),
}

/// The data of the event `endpoint`.
#[derive(Deserialize)]
struct Endpoint {
    endpoint: String,
}

impl Session {
    /// Requests a session from a worker, once.
    pub(crate) async fn open(client: &Client) -> Result<Self, Trouble> {
        let deadline = Instant::now() + SILENCE;
        let from = client.address.below(EVENTS).map_err(Trouble::Wrong)?;
        let Ok(opened) = timeout_at(deadline, client.events(&from, None)).await else { return Ok(Self::none(client)) };
        let mut stream = match opened {
            Ok(Reply::Events(stream)) => stream,
            Ok(Reply::Refused(refused)) => {
                return match refused.status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Wrong(refused.problem())),
                    status if status.is_server_error() => Err(Trouble::Absent(refused.problem())),
                    _ => Ok(Self::none(client)),
                };
            }
            Ok(Reply::Accepted | Reply::Message(_)) => return Ok(Self::none(client)),
            Err(fault) => return Err(Trouble::Absent(fault.to_string())),
        };
        let Ok(named) = timeout_at(deadline, endpoint(&mut stream)).await else { return Ok(Self::none(client)) };
        let Some(named) = named? else { return Ok(Self::none(client)) };
        let endpoint = client.address.endpoint(&named).map_err(Trouble::Wrong)?;
        Ok(Self { endpoint, stream: Some(stream) })
    }

    fn none(client: &Client) -> Self {
        Self { endpoint: client.address.root(), stream: None }
    }

    /// Resumes the session after its stream was lost. `missed` is called after each try that failed.
    ///
    /// # Errors
    ///
    /// When the worker no longer has the session, or is not reached while it would still have it.
    pub(crate) async fn resume(&mut self, client: &Client, missed: impl Fn() + Send) -> Result<(), String> {
        let mut query = self.endpoint.query().unwrap_or_default().split('&');
        let id = query.find(|pair| pair.starts_with("sessionId=")).ok_or("its `endpoint` has no `sessionId`")?;
        let from = client.address.below(&format!("{EVENTS}?{id}"))?;
        let lost = self.stream.take();
        let last_id = lost.as_ref().and_then(|lost| lost.parser().last_id());
        let mut delay = lost.as_ref().and_then(|lost| lost.parser().retry()).unwrap_or(RESUME_DELAYS.0);
        let deadline = Instant::now() + SESSION_KEPT;
        loop {
            let problem = match timeout_at(deadline, client.events(&from, last_id)).await {
                Ok(Ok(Reply::Events(stream))) => {
                    self.stream = Some(stream);
                    return Ok(());
                }
                Ok(Ok(Reply::Refused(refused))) if refused.status.is_server_error() => refused.problem(),
                Ok(Ok(Reply::Refused(refused))) => return Err(refused.problem()),
                Ok(Ok(_)) => return Err("it answered with something that is not a stream".to_owned()),
                Ok(Err(fault)) => fault.to_string(),
                Err(_) => "it did not answer".to_owned(),
            };
            if Instant::now() + delay >= deadline {
                return Err(problem);
            }
            missed();
            sleep(delay).await;
            delay = (delay * 2).min(RESUME_DELAYS.1);
        }
    }
}

/// Waits for the event that names the session's URL; `None` when the stream ends without one.
async fn endpoint(stream: &mut Events) -> Result<Option<String>, Trouble> {
    while let Some(Event { kind, data }) = stream.next().await.map_err(|fault| Trouble::Absent(fault.to_string()))? {
        if kind == "endpoint" {
            let malformed = |_| Trouble::Wrong(format!("its `endpoint` is `{}`", String::from_utf8_lossy(&data)));
            let named: Endpoint = serde_json::from_slice(&data).map_err(malformed)?;
            return Ok(Some(named.endpoint));
        }
    }
    Ok(None)
}
