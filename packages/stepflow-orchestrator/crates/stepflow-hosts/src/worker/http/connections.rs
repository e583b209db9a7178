//! Connections to one worker. They stay open between requests, and for each failed request it is known whether it was
//! sent.

use std::collections::VecDeque;
use std::fmt;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper::service::Service as _;
use hyper::{Request, Response, Uri};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::upload::Upload;
use crate::http::{Connector, causes, connector, plain};
use crate::worker::message::TooLong;

/// How long a connection may be idle and still be used. Servers close idle ones, uvicorn after 5 s. When that happens
/// during a request, it is not known whether it was carried out.
const MAX_IDLE: Duration = Duration::from_secs(3);

/// The connections to one address.
pub(crate) struct Connections {
    address: Uri,
    secure: OnceCell<Connector>,
    idle: Arc<Mutex<Idle>>,
}

/// The connections that are not in use.
#[derive(Default)]
struct Idle {
    /// The one that was used last is at the back.
    connections: VecDeque<(Instant, HttpConnection)>,
    /// Whether a task is running that closes those that are idle for too long.
    is_swept: bool,
}

/// A connection without an open request. Its other half is a task that ends with the connection.
pub(crate) struct HttpConnection {
    sender: SendRequest<Upload>,
    /// The same socket; `None` with TLS.
    socket: Option<TcpStream>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// The worker has not seen the request.
    NotSent(String),
    /// The worker may have seen the request.
    Broken(String),
    /// The worker answered with more than is read.
    TooLong(TooLong),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(problem) | Self::Broken(problem) => f.write_str(problem),
            Self::TooLong(problem) => write!(f, "its message is too long: {problem}"),
        }
    }
}

impl Connections {
    pub(crate) fn new(address: Uri) -> Self {
        Self { address, secure: OnceCell::new(), idle: Arc::default() }
    }

    /// Sends a request. When the answer has been read to its end, give the connection back with [`Connections::keep`].
    pub(crate) async fn send(
        &self,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, HttpConnection), HttpError> {
        loop {
            let (mut connection, fresh) = match self.idle().await {
                Some(idle) => (idle, false),
                None => (self.open().await.map_err(HttpError::NotSent)?, true),
            };
            match connection.sender.try_send_request(request).await {
                Ok(answer) => return Ok((answer, connection)),
                Err(mut error) => match error.take_message() {
                    // The worker closed the connection while it was idle.
                    Some(unsent) if !fresh => request = unsent,
                    Some(_) => return Err(HttpError::NotSent(causes(error.error()))),
                    None => return Err(HttpError::Broken(causes(error.error()))),
                },
            }
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, connection: HttpConnection) {
        let mut idle = self.idle.lock();
        idle.connections.push_back((Instant::now(), connection));
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.idle)));
        }
    }

    /// An idle connection that can be used at once.
    async fn idle(&self) -> Option<HttpConnection> {
        loop {
            let mut connection = self.idle.lock().take()?;
            if !connection.was_closed() && connection.sender.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<HttpConnection, String> {
        if self.address.scheme_str() != Some("https") {
            let connector = TowerToHyperService::new(plain());
            let stream = connector.call(self.address.clone()).await.map_err(why)?;
            let socket = stream.inner().as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
            return Ok(HttpConnection { sender: greet(stream).await?, socket: Some(socket.into()) });
        }
        let connector = TowerToHyperService::new(self.secure.get_or_try_init(connector).await?.clone());
        let stream = connector.call(self.address.clone()).await.map_err(why)?;
        Ok(HttpConnection { sender: greet(stream).await?, socket: None })
    }
}

impl Idle {
    fn take(&mut self) -> Option<HttpConnection> {
        self.close_old();
        Some(self.connections.pop_back()?.1)
    }

    fn close_old(&mut self) {
        while self.connections.front().is_some_and(|(since, _)| since.elapsed() > MAX_IDLE) {
            self.connections.pop_front();
        }
    }
}

/// Closes connections that have been idle for too long, until none is left.
async fn sweep(idle: Weak<Mutex<Idle>>) {
    loop {
        sleep(MAX_IDLE).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut idle = idle.lock();
        idle.close_old();
        if idle.connections.is_empty() {
            idle.is_swept = false;
            return;
        }
    }
}

impl HttpConnection {
    /// Whether the worker has closed it. Its task notices that too, but maybe only after a request was lost.
    fn was_closed(&self) -> bool {
        let waits = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.socket.as_ref().is_some_and(|socket| !socket.peek(&mut [0]).is_err_and(waits))
    }
}

fn why(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> String {
    causes(error.into().as_ref())
}

async fn greet(stream: impl Read + Write + Unpin + Send + 'static) -> Result<SendRequest<Upload>, String> {
    let (sender, connection) = http1::handshake(stream).await.map_err(|error| causes(&error))?;
    // The caller that waits for an answer learns how it ended.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}
