//! Requests to one worker over HTTP: messages by POST, streams and health by GET; and how its server, or a proxy before
//! it, answered.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode};

use super::address::Address;
use super::connections::{Connections, HttpConnection, HttpError};
use super::refused::Refused;
use super::sse::{Event, Parser};
use super::upload::Upload;
use crate::http::causes;
use crate::worker::message::TooLong;
use crate::worker::options::WorkerOptions;

/// Names the process behind an address that holds a stream. Sent back with the answers to its requests, so that a load
/// balancer sends them to the same process.
const INSTANCE: HeaderName = HeaderName::from_static("stepflow-instance-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Published workers require exactly this text.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Sends requests to one worker.
pub(crate) struct Client {
    pub(crate) address: Address,
    connections: Connections,
    token: Option<HeaderValue>,
    /// The longest message that is read, in bytes.
    max_message: usize,
}

/// How a message was received.
pub(crate) enum Reply {
    /// It was taken, and there is no answer.
    Accepted,
    /// One message.
    Message(Bytes),
    /// A stream of messages.
    Events(Box<Events>),
    /// It was not taken.
    Refused(Refused),
}

/// A stream of events.
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
    read: VecDeque<Event>,
    instance: Option<HeaderValue>,
    connection: HttpConnection,
}

impl Client {
    /// # Errors
    ///
    /// When the token is not one line of ASCII.
    pub(crate) fn new(address: Address, options: &WorkerOptions) -> Result<Self, String> {
        let bearer = |token: &String| HeaderValue::try_from(format!("Bearer {token}"));
        let mut token =
            options.token.as_ref().map(bearer).transpose().map_err(|_| "its `token` is not one line of ASCII")?;
        token.iter_mut().for_each(|token| token.set_sensitive(true));
        let connections = Connections::new(address.uri().clone());
        Ok(Self { address, connections, token, max_message: options.max_message })
    }

    /// Sends a message. `instance` is the process that should get it.
    pub(crate) async fn post(
        &self,
        to: &PathAndQuery,
        message: Upload,
        instance: Option<&HeaderValue>,
    ) -> Result<Reply, HttpError> {
        let mut request = self.request(Method::POST, to).header(CONTENT_TYPE, JSON).header(ACCEPT, BOTH);
        if let Some(instance) = instance {
            request = request.header(INSTANCE, instance);
        }
        let (answer, connection) = self.send(request, message).await?;
        let (status, kind) = (answer.status(), content_type(answer.headers()));
        if status.is_success() && kind == Some("text/event-stream") {
            return Ok(Reply::Events(Events::new(answer, connection, self.max_message)));
        }
        let body = self.whole(answer, connection).await?;
        Ok(match () {
            () if !status.is_success() => Reply::Refused(Refused::new(status, body)),
            // Published workers answer `""` when there is no answer.
            () if body.is_empty() || status == StatusCode::ACCEPTED => Reply::Accepted,
            () => Reply::Message(body),
        })
    }

    /// Opens a stream.
    pub(crate) async fn events(&self, from: &PathAndQuery, last_id: Option<&str>) -> Result<Reply, HttpError> {
        let mut request = self.request(Method::GET, from).header(ACCEPT, EVENTS);
        if let Some(last_id) = last_id {
            request = request.header("last-event-id", last_id);
        }
        let (answer, connection) = self.send(request, Upload::new(Bytes::new())).await?;
        let status = answer.status();
        if status.is_success() && content_type(answer.headers()) == Some("text/event-stream") {
            return Ok(Reply::Events(Events::new(answer, connection, self.max_message)));
        }
        Ok(Reply::Refused(Refused::new(status, self.whole(answer, connection).await?)))
    }

    /// The status with which a path answers.
    pub(crate) async fn status(&self, place: &PathAndQuery) -> Result<StatusCode, HttpError> {
        let request = self.request(Method::GET, place).header(ACCEPT, "*/*");
        let (answer, connection) = self.send(request, Upload::new(Bytes::new())).await?;
        let status = answer.status();
        self.whole(answer, connection).await?;
        Ok(status)
    }

    /// Puts the connection of a stream that has ended back to the idle ones.
    pub(crate) fn ended(&self, events: Box<Events>) {
        self.connections.keep(events.connection);
    }

    fn request(&self, method: Method, to: &PathAndQuery) -> request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(to.as_str())
            .header(HOST, self.address.host())
            .header(USER_AGENT, concat!("stepflow/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        request
    }

    async fn send(
        &self,
        request: request::Builder,
        body: Upload,
    ) -> Result<(Response<Incoming>, HttpConnection), HttpError> {
        let request = request.body(body).map_err(|error| HttpError::NotSent(error.to_string()))?;
        self.connections.send(request).await
    }

    async fn whole(&self, answer: Response<Incoming>, connection: HttpConnection) -> Result<Bytes, HttpError> {
        let (body, limit) = (answer.into_body(), self.max_message);
        let size = body.size_hint().lower().try_into().unwrap_or(usize::MAX);
        TooLong::check(size, limit).map_err(HttpError::TooLong)?;
        let body = Limited::new(body, limit).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
            true => HttpError::TooLong(TooLong { size: limit, is_whole: false, limit }),
            false => HttpError::Broken(format!("its answer broke off: {}", causes(&*error))),
        })?;
        self.connections.keep(connection);
        Ok(body.to_bytes())
    }
}

impl Events {
    fn new(answer: Response<Incoming>, connection: HttpConnection, max_event: usize) -> Box<Self> {
        let instance = answer.headers().get(INSTANCE).filter(|instance| !instance.is_empty()).cloned();
        let (body, parser, read) = (answer.into_body(), Parser::new(max_event), VecDeque::new());
        Box::new(Self { body, parser, read, instance, connection })
    }

    /// The process that holds the stream, if it names itself.
    pub(crate) fn instance(&self) -> Option<&HeaderValue> {
        self.instance.as_ref()
    }

    /// The parser, which knows how the stream can be resumed.
    pub(crate) fn parser(&self) -> &Parser {
        &self.parser
    }

    /// The next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// Why nothing more can be read.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, HttpError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            // Trailers are ignored.
            if let Ok(bytes) = frame.map_err(|error| HttpError::Broken(causes(&error)))?.into_data() {
                self.parser.feed(&bytes, |event| self.read.push_back(event)).map_err(HttpError::TooLong)?;
            }
        }
    }
}

/// The media type without its parameters, if it is one that is handled here.
fn content_type(headers: &HeaderMap) -> Option<&'static str> {
    let named = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    ["application/json", "text/event-stream"].into_iter().find(|known| *known == named)
}
