//! The HTTP client of the components that call others. Connections are kept open between calls.

mod connector;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use tokio::sync::OnceCell;

pub(crate) use connector::{Connector, connector, plain, refusal};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A client; it is made when it is first needed, because reading the machine's certificates takes a while.
#[derive(Default)]
pub(crate) struct Client(OnceCell<legacy::Client<Connector, Full<Bytes>>>);

/// A request with a JSON body.
pub(crate) struct Post<'a> {
    pub url: &'a str,
    /// A token for the header `Authorization`.
    pub bearer: Option<&'a str>,
    pub body: Vec<u8>,
}

/// What came back, whatever its status.
pub(crate) struct Answer {
    pub status: u16,
    /// The header `Retry-After`, in seconds, where it is a number.
    pub retry_after: Option<u64>,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{url}` cannot be asked: {problem}")]
    Url { url: String, problem: String },
    #[error("`{url}` cannot be reached: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("the answer of `{url}` broke off: {reason}")]
    Body { url: String, reason: String },
}

impl Client {
    /// Sends a request and reads the whole answer. Follows no redirects: the token is for one address.
    pub(crate) async fn post(&self, post: Post<'_>) -> Result<Answer, Error> {
        let url = post.url.to_owned();
        let request = request(post)?;
        let unreachable = |reason| Error::Unreachable { url: url.clone(), reason };
        let client = self.0.get_or_try_init(connect).await.map_err(unreachable)?;
        let answer = client.request(request).await.map_err(|error| unreachable(causes(&error)))?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Error::Body { url: url.clone(), reason: causes(&*error) })?.to_bytes();
        Ok(Answer { status, retry_after, body })
    }
}

fn request(post: Post<'_>) -> Result<Request<Full<Bytes>>, Error> {
    let refused = |problem: String| Error::Url { url: post.url.to_owned(), problem };
    let uri: Uri = post.url.parse().map_err(|error| refused(format!("it is no URL ({error})")))?;
    if let Some(problem) = refusal(uri.scheme_str()) {
        return Err(refused(problem.to_owned()));
    }
    let mut request = Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("stepflow/", env!("CARGO_PKG_VERSION")));
    if let Some(token) = post.bearer {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    // The URL is known to be one, so what is left is the token: it is not repeated.
    let malformed = |_| Error::Url { url: post.url.to_owned(), problem: "the key is not one line of ASCII".to_owned() };
    request.body(Full::from(post.body)).map_err(malformed)
}

async fn connect() -> Result<legacy::Client<Connector, Full<Bytes>>, String> {
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector().await?))
}

/// An error with its causes: the outermost says least.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
