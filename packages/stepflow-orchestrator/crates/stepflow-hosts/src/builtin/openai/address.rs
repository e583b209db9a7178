//! Where requests may go. A flow may come from a stranger, and the server can reach addresses that the stranger cannot.

use reqwest::Url;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::{OPENAI, OpenAiOptions};
use crate::http::refusal;

/// Why this cannot be a base URL, or `None` if it can.
#[must_use]
pub fn base_url_problem(text: &str) -> Option<String> {
    parse(text).err()
}

/// Where a step's request goes.
#[derive(Debug)]
pub(super) struct RequestUrl {
    pub(super) url: Url,
    /// Whether the server's own key may be sent there.
    pub(super) is_own: bool,
    /// Whether requests there need a key.
    pub(super) needs_key: bool,
}

impl RequestUrl {
    /// The address for a step with this `base_url`, if it has one.
    pub(super) fn of(base_url: Option<&str>, options: &OpenAiOptions) -> Result<Self, FlowError> {
        let own = options.base_url.as_deref().unwrap_or(OPENAI);
        let own_base =
            parse(own).map_err(|problem| refused(own, &format!("OPENAI_BASE_URL is not a base url: {problem}")))?;
        let wanted = base_url.unwrap_or(own);
        let base = parse(wanted).map_err(|problem| refused(wanted, &format!("it is not a base url: {problem}")))?;
        let mut allowed = listed(options).filter_map(|url| parse(url).ok());
        if !allowed.any(|allowed| contains(&allowed, &base)) {
            return Err(refused(
                wanted,
                "list it under `openai.baseUrls` of the builtin plugin in the server's configuration",
            ));
        }
        let needs_key = parse(OPENAI).is_ok_and(|openai| openai == base);
        let is_own = base == own_base;
        let mut url = base;
        url.set_path(&format!("{}/chat/completions", url.path().trim_end_matches('/')));
        Ok(Self { url, is_own, needs_key })
    }
}

/// The allowed addresses: those of the config, or OpenAI; and always the one of the environment.
fn listed(options: &OpenAiOptions) -> impl Iterator<Item = &str> {
    let usual = options.base_urls.is_none().then_some(OPENAI);
    options.base_urls.iter().flatten().map(String::as_str).chain(usual).chain(options.base_url.as_deref())
}

/// Whether `base` is `allowed` or lies below it.
fn contains(allowed: &Url, base: &Url) -> bool {
    let origin =
        |url: &Url| (url.scheme().to_owned(), url.host().map(|host| host.to_owned()), url.port_or_known_default());
    let rest = base.path().strip_prefix(allowed.path());
    let is_below = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || allowed.path() == "/");
    origin(allowed) == origin(base) && is_below
}

/// The URL, without a `/` at its end. A URL that could hide where a request goes is refused.
fn parse(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| error.to_string())?;
    let problem = match &url {
        url if refusal(Some(url.scheme())).is_some() => refusal(Some(url.scheme())),
        url if !url.username().is_empty() || url.password().is_some() => {
            Some("it holds a user: give the step an `api_key`")
        }
        url if url.query().is_some() || url.fragment().is_some() => Some("it has a `?` or a `#`"),
        url if url.path().contains(['%', '\\']) || url.path().contains("//") => Some("its path is not plain"),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(problem.to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn refused(url: &str, problem: &str) -> FlowError {
    let url = shown(url);
    let message = format!("`{url}` may not be asked: {problem}");
    FlowError::new(ErrorKind::InvalidInput, message).with([("url", Value::string(&url))])
}

/// The part of the URL that may be shown: enough to recognise it, and no password.
fn shown(text: &str) -> String {
    let text = match Url::parse(text) {
        Ok(mut url) if url.has_authority() => {
            let _ = url.set_password(None);
            let _ = url.set_username("");
            url.set_query(None);
            url.to_string()
        }
        _ => text.to_owned(),
    };
    text.chars().take(200).collect()
}
