//! Which requests the API accepts. A browser lets every web page send requests to this machine. The headers `Host`,
//! `Origin` and `Sec-Fetch-*`, which a page cannot change, show that a page has sent a request.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use crate::wording::cut;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// How many characters of a header an error repeats.
const SHOWN: usize = 100;

/// The host names of the API, and the origins of other pages that may use it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    names: Vec<String>,
    origins: Vec<String>,
}

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It uses a host name that may belong to a web page.
    #[error(
        "`{0}` is not a name of this server, and a web page may misuse such a name: call the server by `localhost` or an IP \
         address, or add the name to `server.allowedHosts`"
    )]
    Name(String),
    /// A page of another origin sent it.
    #[error("pages of `{0}` may not use this server; `server.cors.origins` lists those that may")]
    Origin(String),
    /// A page of another origin embeds or loads it, and sends no `Origin`.
    #[error("pages of other origins may not use this server; `server.cors.origins` lists those that may")]
    OtherPage,
}

impl Access {
    /// The server has these `names`, in addition to `localhost` and IP addresses, and pages of `origins` may use it.
    #[must_use]
    pub fn new(names: Vec<String>, origins: Vec<String>) -> Self {
        Self { names, origins: origins.iter().filter_map(|origin| Some(self::origin(origin)?.to_owned())).collect() }
    }

    /// The origins whose pages may use the API, as header values.
    pub fn origins(&self) -> impl Iterator<Item = HeaderValue> {
        self.origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    /// When a web page that may not use the API could have sent it.
    pub fn check(&self, request: &Parts) -> Result<(), Refusal> {
        let called =
            request.headers.get_all(HOST).iter().map(text).chain(request.uri.authority().map(Authority::as_str));
        if let Some(name) = called.filter(|name| !name.is_empty()).find(|name| !self.is_own_name(name)) {
            return Err(Refusal::Name(cut(name, SHOWN)));
        }
        let mut origins = request.headers.get_all(ORIGIN).iter().map(text).peekable();
        if origins.peek().is_none() && is_from_other_page(request) {
            return Err(Refusal::OtherPage);
        }
        match origins.find(|origin| !self.may_use_api(origin, &request.headers)) {
            Some(origin) => Err(Refusal::Origin(cut(origin, SHOWN))),
            None => Ok(()),
        }
    }

    /// Whether this is a name of the server, with or without a port. No web page can have such a name.
    fn is_own_name(&self, authority: &str) -> bool {
        let Some(name) = host_of(authority) else { return false };
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        is("localhost") || is_address(name) || self.names.iter().any(|known| is(known))
    }

    /// Whether pages of this origin may use the API: the server's own pages, and those of listed origins.
    fn may_use_api(&self, origin: &str, headers: &HeaderMap) -> bool {
        let own = headers.get(HOST).map(text).unwrap_or_default();
        let is_own = origin.split_once("://").is_some_and(|(_, called)| called.eq_ignore_ascii_case(own));
        is_own || self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }
}

/// Whether a page of another origin has sent this, as the browser tells. A link that a person follows is allowed.
fn is_from_other_page(request: &Parts) -> bool {
    let says = |header: HeaderName| request.headers.get(header).map(text).unwrap_or_default();
    let follows_link = request.method == Method::GET && says(SEC_FETCH_DEST) == "document";
    matches!(says(SEC_FETCH_SITE), "cross-site" | "same-site") && !follows_link
}

/// The host of `host` or `host:port`.
fn host_of(authority: &str) -> Option<&str> {
    let end = authority.find(']').map_or(0, |bracket| bracket + 1);
    let end = authority[end..].find(':').map_or(authority.len(), |colon| end + colon);
    let (name, port) = authority.split_at(end);
    (port.is_empty() || port[1..].parse::<u16>().is_ok()).then_some(name)
}

/// Whether this is an IP address as URLs contain it.
fn is_address(host: &str) -> bool {
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    v6.map_or_else(|| host.parse::<Ipv4Addr>().is_ok(), |host| host.parse::<Ipv6Addr>().is_ok())
}

/// The text, if it is an origin of pages such as `https://app.example.com`: a scheme and a host, perhaps a port.
#[must_use]
pub fn origin(text: &str) -> Option<&str> {
    let uri: Uri = text.parse().ok()?;
    let is_web = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    // A URI has the path `/` even where none is written.
    let has_host_alone = text.ends_with(uri.authority()?.as_str()) && !text.contains('@');
    (is_web && has_host_alone).then_some(text)
}

/// The text, if it is a host such as `flows.example.com`: a name without a port, or an IP address.
#[must_use]
pub fn host(text: &str) -> Option<&str> {
    let is_name = !text.is_empty() && text.split('.').all(is_label);
    (is_name || text.parse::<Ipv6Addr>().is_ok()).then_some(text)
}

/// Whether this may be one part of a host name.
fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    let edges = [bytes.first(), bytes.last()];
    edges.iter().all(|edge| edge.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A header's value as text. A value that is not text becomes `\u{fffd}`, which no known name is equal to.
fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or("\u{fffd}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what a test cannot unwrap has failed it")]

    use axum::http::Request;

    use super::*;

    fn check(method: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let access = Access::new(vec!["flows.example.com".to_owned()], vec!["https://app.example.com".to_owned()]);
        let request = Request::builder().method(method).uri("/api/v1/runs");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        access.check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_server_is_called_by_names_that_no_page_can_have() {
        for host in ["localhost", "LOCALHOST:7840", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:7840", "10.0.0.7", ""] {
            assert_eq!(check("GET", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check("GET", &[("host", "Flows.Example.com:80")]), Ok(()));
        assert_eq!(check("GET", &[]), Ok(()));
    }

    #[test]
    fn any_other_name_is_refused() {
        let names = [
            "evil.example",
            "evil.example:7840",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "flows.example.com.evil.example",
            "2130706433",
            "[::1].evil.example",
            "localhost/evil",
            "ä.example",
        ];
        for host in names {
            assert!(matches!(check("GET", &[("host", host)]), Err(Refusal::Name(_))), "{host}");
        }
    }

    #[test]
    fn each_of_several_names_counts() {
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check("GET", &twice), Err(Refusal::Name("evil.example".to_owned())));
        let access = Access::default();
        let (absolute, ()) =
            Request::get("http://evil.example/").header("host", "localhost").body(()).unwrap().into_parts();
        assert_eq!(access.check(&absolute), Err(Refusal::Name("evil.example".to_owned())));
    }

    #[test]
    fn a_page_uses_the_server_that_served_it_or_lists_it() {
        for origin in ["http://localhost:7840", "HTTPS://LOCALHOST:7840", "https://app.example.com"] {
            assert_eq!(check("POST", &[("host", "localhost:7840"), ("origin", origin)]), Ok(()), "{origin}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let origins = ["null", "http://localhost", "http://localhost:3000", "https://evil.example", "", "file://"];
        for origin in origins.iter().chain(&["http://app.example.com", "https://app.example.com.evil.example", "ä"]) {
            let refused = check("POST", &[("host", "localhost:7840"), ("origin", origin)]);
            assert!(matches!(refused, Err(Refusal::Origin(_))), "{origin}");
        }
        assert!(check("POST", &[("origin", "http://localhost")]).is_err(), "without a name of our own nothing is own");
    }

    #[test]
    fn what_other_pages_embed_is_refused_and_a_followed_link_is_not() {
        let host = ("host", "localhost:7840");
        for site in ["cross-site", "same-site"] {
            let embedded = [host, ("sec-fetch-site", site), ("sec-fetch-dest", "image")];
            assert_eq!(check("GET", &embedded), Err(Refusal::OtherPage));
            let followed = [host, ("sec-fetch-site", site), ("sec-fetch-dest", "document")];
            assert_eq!(check("GET", &followed), Ok(()));
            assert_eq!(check("POST", &followed), Err(Refusal::OtherPage));
        }
        assert_eq!(check("GET", &[host, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check("GET", &[host, ("sec-fetch-site", "none")]), Ok(()));
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for text in ["http://localhost:3000", "https://app.example.com", "http://[::1]:80"] {
            assert_eq!(origin(text), Some(text));
        }
        for text in ["*", "null", "app.example.com", "https://a.example/", "https://a.example/x", "ftp://a.example", ""]
        {
            assert_eq!(origin(text), None, "{text}");
        }
        assert_eq!(origin("https://me@a.example"), None);
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for text in ["localhost", "flows.example.com", "my-server_1", "0.0.0.0", "::1"] {
            assert_eq!(host(text), Some(text));
        }
        for text in ["", "a.example:80", "http://a", "a/b", "-a", "a..b", "a b", "[::1]", "*.example.com", "a."] {
            assert_eq!(host(text), None, "{text}");
        }
    }
}
