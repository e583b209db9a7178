//! Sends the messages of one instance, each as a separate POST, and passes on everything that comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;
use parking_lot::Mutex;
use stepflow_engine::ports::Lost;
use stepflow_flow::visible::quoted;
use stepflow_protocol::{ErrorKind, FlowError, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::client::{Client, Events, Reply};
use super::connections::HttpError;
use super::refused::Refused;
use super::session::{RESUME_DELAYS, SESSION_KEPT, Session};
use super::upload::Upload;
use crate::worker::caller::Caller;
use crate::worker::connection::HandshakeError;
use crate::worker::core::Core;
use crate::worker::message::Body;
use crate::worker::pool::{ConnectionFailure, InstanceId, Pool};
use crate::worker::wire::{Kind, Outgoing};

/// For a message that has no answer: how long the worker may take no bytes and send no status before the message is
/// sent again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a stream is still read after its answer. If it ends in this time, its connection can be used again.
const LINGER: Duration = Duration::from_secs(5);

/// How long a broken connection waits for the news that the whole worker is gone, which says more.
const EXIT_WAIT: Duration = Duration::from_secs(1);

/// The open messages. Dropping it breaks them off.
pub(crate) struct Traffic {
    dispatcher: JoinHandle<()>,
    sender: Arc<Sender>,
}

struct Sender {
    core: Arc<Core>,
    id: InstanceId,
    caller: Caller,
    client: Arc<Client>,
    endpoint: PathAndQuery,
    has_session: bool,
    /// Whether the end of the worker is noticed elsewhere.
    watched: bool,
    open: Mutex<HashMap<i64, PendingRequest>>,
}

/// A request that has no answer yet.
struct PendingRequest {
    task: AbortHandle,
    /// The process that holds its stream.
    instance: Option<HeaderValue>,
}

/// Why the answer to a request did not come.
enum RequestFailure {
    /// The worker has not received it.
    Unreached(String),
    /// The worker does not know the session.
    UnknownSession(String),
    /// It is not known what the worker did with it.
    Lost(String),
    /// The worker cannot take it now.
    Unavailable(String),
    /// The worker that had it is gone, and everything that it had is lost together.
    WorkerGone(String),
    /// The answer was not a message.
    Malformed(String),
    /// The request or its answer is longer than the other side takes.
    TooLong(String),
}

impl Traffic {
    /// Sends the pool's messages to an instance. `owned`: it is a process of ours, whose end is noticed elsewhere.
    pub(crate) fn start(
        core: &Arc<Core>,
        id: InstanceId,
        caller: &Caller,
        client: &Arc<Client>,
        session: &Session,
        owned: bool,
        outgoing: UnboundedReceiver<Outgoing>,
    ) -> Self {
        let has_session = session.stream.is_some();
        let sender = Arc::new(Sender {
            core: Arc::clone(core),
            id,
            caller: caller.clone(),
            client: Arc::clone(client),
            endpoint: session.endpoint.clone(),
            has_session,
            watched: owned || has_session,
            open: Mutex::default(),
        });
        Self { dispatcher: tokio::spawn(dispatch(Arc::clone(&sender), outgoing)), sender }
    }

    /// Stops a request whose answer is not needed any more.
    pub(crate) fn break_off(&self, request: i64) {
        if let Some(open) = self.sender.open.lock().remove(&request) {
            open.task.abort();
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.dispatcher.abort();
        for (_, open) in self.sender.open.lock().drain() {
            open.task.abort();
        }
    }
}

async fn dispatch(sender: Arc<Sender>, mut outgoing: UnboundedReceiver<Outgoing>) {
    let mut greeted = false;
    while let Some(Outgoing { line, kind }) = outgoing.recv().await {
        let line = Bytes::from(line);
        match kind {
            Kind::Execute(id, _) | Kind::Call(id) => sender.send(id, line),
            // Awaited here: the next request must come after it.
            Kind::Notification if !std::mem::replace(&mut greeted, true) => sender.notify(line).await,
            Kind::Notification => sender.spawn_notification(line),
            Kind::Answer(within) => sender.spawn_answer(within, line),
        }
    }
}

impl Sender {
    fn send(self: &Arc<Self>, request: i64, line: Bytes) {
        let sender = Arc::clone(self);
        // The lock is held until the request is in the list, so that it cannot end before.
        let mut open = self.open.lock();
        let task = tokio::spawn(async move {
            let answered = sender.request_answer(request, line).await;
            sender.open.lock().remove(&request);
            if let Err(failure) = answered {
                sender.fail(request, failure);
            }
        });
        open.insert(request, PendingRequest { task: task.abort_handle(), instance: None });
    }

    fn spawn_notification(self: &Arc<Self>, line: Bytes) {
        let sender = Arc::clone(self);
        tokio::spawn(async move { sender.notify(line).await });
    }

    async fn notify(&self, line: Bytes) {
        if let Err(failure) = self.deliver(line, None, || true).await {
            self.warn_undelivered(&failure);
        }
    }

    /// Sends an answer to the worker. If it cannot, the execute that asked is lost: its component may wait for ever.
    fn spawn_answer(self: &Arc<Self>, within: Option<i64>, line: Bytes) {
        let instance = within.and_then(|request| self.open.lock().get(&request)?.instance.clone());
        let sender = Arc::clone(self);
        tokio::spawn(async move {
            let is_awaited = || within.is_none_or(|request| sender.awaits_answer(request));
            let bytes = line.len();
            let delivered = sender.deliver(line, instance.as_ref(), is_awaited).await;
            sender.caller.arrived(bytes);
            let Err(failure) = delivered else { return };
            sender.warn_undelivered(&failure);
            if let Some(open) = within.and_then(|request| sender.open.lock().remove(&request)) {
                open.task.abort();
            }
            if let Some(request) = within.filter(|request| sender.awaits_answer(*request)) {
                sender.fail(request, failure);
            }
        });
    }

    /// Sends a message that has no answer, and sends it again when it may not have arrived: it does no harm to receive
    /// it twice.
    async fn deliver(
        &self,
        line: Bytes,
        instance: Option<&HeaderValue>,
        is_awaited: impl Fn() -> bool,
    ) -> Result<(), RequestFailure> {
        let lost = |problem| RequestFailure::Lost(format!("what it asked for did not reach it: {problem}"));
        let (mut deadline, mut delay) = (None, RESUME_DELAYS.0);
        loop {
            let upload = Upload::new(line.clone());
            let progress = upload.progress();
            let reply = tokio::select! {
                reply = self.client.post(&self.endpoint, upload, instance) => Some(reply),
                () = progress.silence(DELIVERY_TIMEOUT) => None,
            };
            let problem = match reply {
                Some(Ok(Reply::Refused(refused))) if refused.may_be_repeated() => refused.problem(),
                Some(Ok(Reply::Refused(refused))) => {
                    return Err(too_large(&refused, line.len()).unwrap_or_else(|| lost(refused.problem())));
                }
                Some(Ok(_)) => return Ok(()),
                Some(Err(fault)) => fault.to_string(),
                None => format!("it took nothing for {} s", DELIVERY_TIMEOUT.as_secs()),
            };
            // Counted from the first failure: a long message may have taken longer before that.
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + SESSION_KEPT);
            if Instant::now() + delay >= deadline || !is_awaited() || !self.is_here() {
                return Err(lost(problem));
            }
            sleep(delay).await;
            delay = (delay * 2).min(RESUME_DELAYS.1);
        }
    }

    /// The worker's address without the values that came from environment variables.
    fn shown_url(&self) -> String {
        self.core.options.shown(&self.client.address.uri().to_string())
    }

    fn warn_undelivered(&self, failure: &RequestFailure) {
        let (RequestFailure::Unreached(problem)
        | RequestFailure::UnknownSession(problem)
        | RequestFailure::Lost(problem)
        | RequestFailure::WorkerGone(problem)
        | RequestFailure::Unavailable(problem)
        | RequestFailure::Malformed(problem)
        | RequestFailure::TooLong(problem)) = failure;
        let plugin = &self.core.options.name;
        tracing::warn!(plugin, url = self.shown_url(), %problem, "a message did not reach the worker");
    }

    /// Sends a request and takes everything that comes back. When the answer breaks off in a session that can be
    /// resumed, the worker keeps the answer and gives it to a request that asks again.
    async fn request_answer(&self, request: i64, line: Bytes) -> Result<(), RequestFailure> {
        let problem = match self.ask(request, line.clone()).await {
            Err(RequestFailure::Lost(problem)) => problem,
            ended => return ended,
        };
        if self.resumes() {
            return self.ask_again(request, line, problem).await;
        }
        if self.watched {
            sleep(EXIT_WAIT).await;
        }
        Err(RequestFailure::Lost(problem))
    }

    async fn ask_again(&self, request: i64, line: Bytes, mut problem: String) -> Result<(), RequestFailure> {
        let (deadline, mut delay) = (Instant::now() + SESSION_KEPT, RESUME_DELAYS.0);
        while Instant::now() + delay < deadline {
            sleep(delay).await;
            delay = (delay * 2).min(RESUME_DELAYS.1);
            problem = match self.ask(request, line.clone()).await {
                // The worker already had the request.
                Err(RequestFailure::Lost(problem) | RequestFailure::Unreached(problem)) => problem,
                Err(RequestFailure::UnknownSession(problem)) => return Err(RequestFailure::WorkerGone(problem)),
                ended => return ended,
            };
        }
        // The session is given up at the same time, and its error says more.
        sleep(EXIT_WAIT).await;
        Err(RequestFailure::Lost(problem))
    }

    async fn ask(&self, request: i64, line: Bytes) -> Result<(), RequestFailure> {
        let size = line.len();
        match self.client.post(&self.endpoint, Upload::new(line), None).await {
            Ok(Reply::Message(body)) => self.receive(request, &body),
            Ok(Reply::Events(stream)) => self.read_stream(request, stream).await?,
            Ok(Reply::Refused(refused)) if refused.is_answer() => self.receive(request, &refused.body),
            Ok(Reply::Accepted) => {
                return Err(RequestFailure::Malformed("it took the request and said no more".to_owned()));
            }
            Ok(Reply::Refused(refused)) => {
                if let Some(failure) = too_large(&refused, size) {
                    return Err(failure);
                }
                return Err(match () {
                    () if refused.is_not_accepted() => RequestFailure::Unreached(refused.problem()),
                    () if refused.status == StatusCode::NOT_FOUND && self.has_session => {
                        RequestFailure::UnknownSession(refused.problem())
                    }
                    () if refused.is_unavailable() => RequestFailure::Unavailable(refused.problem()),
                    () if refused.is_lost() => RequestFailure::Lost(refused.problem()),
                    () => RequestFailure::Malformed(refused.problem()),
                });
            }
            Err(HttpError::NotSent(problem)) => return Err(RequestFailure::Unreached(problem)),
            Err(HttpError::Broken(problem)) => return Err(RequestFailure::Lost(problem)),
            Err(HttpError::TooLong(problem)) => return Err(RequestFailure::TooLong(problem.to_string())),
        }
        if self.awaits_answer(request) {
            return Err(RequestFailure::Malformed("its answer does not belong to the request".to_owned()));
        }
        Ok(())
    }

    /// Takes the requests on the stream, and the answer, after which the stream ends.
    async fn read_stream(&self, request: i64, mut stream: Box<Events>) -> Result<(), RequestFailure> {
        if let Some(open) = self.open.lock().get_mut(&request) {
            open.instance = stream.instance().cloned();
        }
        loop {
            let awaits_answer = self.awaits_answer(request);
            let next = if awaits_answer { Ok(stream.next().await) } else { timeout(LINGER, stream.next()).await };
            match next {
                Ok(Ok(Some(event))) if event.kind == "message" => self.receive(request, &event.data),
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) if awaits_answer => {
                    self.client.ended(stream);
                    return Err(RequestFailure::Lost("its stream ended before the answer".to_owned()));
                }
                Ok(Ok(None)) => {
                    self.client.ended(stream);
                    return Ok(());
                }
                Ok(Err(HttpError::TooLong(problem))) if awaits_answer => {
                    return Err(RequestFailure::TooLong(problem.to_string()));
                }
                Ok(Err(fault)) if awaits_answer => {
                    return Err(RequestFailure::Lost(format!("its stream broke off: {fault}")));
                }
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
    }

    fn receive(&self, request: i64, message: &[u8]) {
        self.caller.receive(Some(request), message);
    }

    fn awaits_answer(&self, request: i64) -> bool {
        self.core
            .shared
            .look(|pool| pool.instance(self.id).is_some_and(|worker| worker.connection.awaits_answer(request)))
    }

    fn is_here(&self) -> bool {
        self.core.shared.look(|pool| pool.instance(self.id).is_some())
    }

    fn resumes(&self) -> bool {
        let resumes = |pool: &Pool| pool.instance(self.id).is_some_and(|worker| worker.connection.resumes());
        self.has_session && self.core.shared.look(resumes)
    }

    fn fail(&self, request: i64, failure: RequestFailure) {
        self.core.shared.with(|pool| match failure {
            RequestFailure::Malformed(problem) => _ = pool.take_answer(self.id, request, Body::Malformed(problem)),
            RequestFailure::TooLong(problem) => {
                let open = pool.instance(self.id).and_then(|worker| worker.connection.open_at(request));
                if let Some(task) = open.map(|open| open.task.task) {
                    // The worker may be carrying it out.
                    pool.cancel(task, "its message was too long");
                }
                _ = pool.take_answer(self.id, request, Body::TooLong(problem));
            }
            RequestFailure::Unreached(problem) | RequestFailure::UnknownSession(problem) => {
                tracing::warn!(plugin = self.core.options.name, url = self.shown_url(), %problem, "a worker is not reached");
                pool.unreached(self.id, request);
                pool.fail_handshake(self.id, HandshakeError::Unreached(problem));
            }
            RequestFailure::WorkerGone(why) => {
                if let Some(instance) = pool.instance_mut(self.id) {
                    instance.fail(ConnectionFailure { why, is_informative: false });
                }
            }
            RequestFailure::Unavailable(problem) => {
                let lost = self.lost(&format!("did not take the step: {problem}"));
                pool.lose_execute(self.id, request, Lost { back_off: true, ..lost });
                pool.fail_handshake(self.id, HandshakeError::Unreached(problem));
            }
            RequestFailure::Lost(problem) => {
                pool.lose_execute(self.id, request, self.lost(&format!("was lost in the middle of the step: {problem}")));
                pool.fail_handshake(self.id, HandshakeError::Unreached(problem));
            }
        });
    }

    fn lost(&self, how: &str) -> Lost {
        let (plugin, url) = (&self.core.options.name, self.shown_url());
        let message = format!("the worker of plugin {plugin} at `{url}` {how}", plugin = quoted(plugin));
        let error = FlowError::new(ErrorKind::Unreachable, message);
        Lost { error: error.with([("plugin", Value::string(plugin))]), spends: true, back_off: false, suspects: 0 }
    }
}

/// The failure when a message of this size was refused as too large, by the worker or by a proxy before it.
fn too_large(refused: &Refused, size: usize) -> Option<RequestFailure> {
    let problem = || format!("it has {size} bytes, and the worker's server answered {}", refused.problem());
    (refused.status == StatusCode::PAYLOAD_TOO_LARGE).then(problem).map(RequestFailure::TooLong)
}
