//! The HTTP client: made when it is first needed, because reading the machine's certificates takes a while. It uses the
//! proxies of the environment: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, Url};
use tokio::sync::OnceCell;

use crate::http::causes;

/// The longest answer that is read.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How long connecting may take. The system's own limit is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a question and its whole answer may take when the config does not say.
const TIMEOUT: Duration = Duration::from_mins(10);

/// The longest wait that an answer may ask for.
const MAX_RETRY_AFTER: u64 = 24 * 60 * 60;

/// A client whose connections stay open between calls.
#[derive(Default)]
pub(in crate::builtin) struct Client(OnceCell<reqwest::Client>);

/// The server's answer, with any status.
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    /// The header `Retry-After`, where it is a number of seconds.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// It did not come; the text says why. Another try may bring one.
    Unreachable(String),
    /// It is longer than [`MAX_ANSWER`]. Another try would end in the same way.
    TooLong,
}

impl Client {
    /// Posts JSON and reads the whole answer. Follows no redirects: only this address was allowed, and only it may see
    /// the key.
    pub(super) async fn post(
        &self,
        url: &Url,
        bearer: Option<HeaderValue>,
        body: Vec<u8>,
        timeout: Option<Duration>,
    ) -> Result<HttpAnswer, NoAnswer> {
        let client = self.0.get_or_try_init(connect).await.map_err(NoAnswer::Unreachable)?;
        let mut request = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(bearer) = bearer {
            request = request.header(reqwest::header::AUTHORIZATION, bearer);
        }
        let timeout = timeout.unwrap_or(TIMEOUT);
        let response = request.timeout(timeout).send().await.map_err(|error| reason(error, timeout))?;
        let status = response.status().as_u16();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = seconds.map(|seconds: u64| Duration::from_secs(seconds.min(MAX_RETRY_AFTER)));
        Ok(HttpAnswer { status, retry_after, body: read(response, timeout).await? })
    }
}

async fn read(mut response: Response, timeout: Duration) -> Result<Vec<u8>, NoAnswer> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| reason(error, timeout))? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(NoAnswer::TooLong);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

async fn connect() -> Result<reqwest::Client, String> {
    let making = tokio::task::spawn_blocking(|| {
        // An error means that a provider is already installed.
        #[cfg(feature = "https")]
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .user_agent(concat!("stepflow/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
    });
    let made = making.await.map_err(|error| error.to_string())?;
    made.map_err(|error| causes(&error))
}

/// Does not name the address: the caller does.
fn reason(error: reqwest::Error, timeout: Duration) -> NoAnswer {
    NoAnswer::Unreachable(match error.is_timeout() && !error.is_connect() {
        true => format!("its answer took longer than {} s", timeout.as_secs_f64()),
        false => causes(&error.without_url()),
    })
}
