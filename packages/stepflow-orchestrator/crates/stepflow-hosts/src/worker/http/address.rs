//! The URL of a worker, and the paths below it. Behind a proxy a worker does not know under which path it is reached.
//! So every path is taken as below the URL's own path, with the URL's own query.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use crate::http::refusal;

/// The address of a worker.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    uri: Uri,
    host: HeaderValue,
}

impl Address {
    /// # Errors
    ///
    /// Why this cannot be the address of a worker.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("it is no URL ({error})"))?;
        if let Some(problem) = refusal(uri.scheme_str()) {
            return Err(problem.to_owned());
        }
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a user name or a password, which workers do not read: use `token`".to_owned());
        }
        let host = authority.host();
        let host = uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let host = HeaderValue::try_from(host).map_err(|error| error.to_string())?;
        Ok(Self { uri, host })
    }

    /// Whether others could read what is sent there: it leaves this machine unencrypted.
    pub(crate) fn is_open_to_others(&self) -> bool {
        let host = self.uri.host().unwrap_or_default();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_here = address.map_or_else(|| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback());
        self.uri.scheme_str() == Some("http") && !is_here
    }

    /// Where connections lead.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host with its port, for people.
    pub(crate) fn authority(&self) -> &str {
        self.host.to_str().unwrap_or_default()
    }

    /// The header `Host`.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Where messages without a session go: exactly the configured URL.
    pub(crate) fn root(&self) -> PathAndQuery {
        self.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
    }

    /// A path below: `/health`, `/runtime/events?sessionId=…`.
    ///
    /// # Errors
    ///
    /// When it is not a path.
    pub(crate) fn below(&self, place: &str) -> Result<PathAndQuery, String> {
        let (path, query) = place.split_once('?').unwrap_or((place, ""));
        let queries: Vec<&str> =
            self.uri.query().into_iter().chain([query]).filter(|query| !query.is_empty()).collect();
        let mark = if queries.is_empty() { "" } else { "?" };
        let whole = format!("{}{path}{mark}{}", self.uri.path().trim_end_matches('/'), queries.join("&"));
        whole.parse().map_err(|error| format!("`{place}` is not a path ({error})"))
    }

    /// Where a session's messages go, as the worker names it: a path below, or a whole URL of the same server.
    ///
    /// # Errors
    ///
    /// When it is on another server: the token is only for this one.
    pub(crate) fn endpoint(&self, named: &str) -> Result<PathAndQuery, String> {
        if named.starts_with('/') && !named.starts_with("//") {
            return self.below(named);
        }
        let uri: Uri = named.parse().map_err(|error| format!("its `endpoint` `{named}` is no URL ({error})"))?;
        if (uri.scheme(), uri.authority()) != (self.uri.scheme(), self.uri.authority()) {
            return Err(format!("its `endpoint` `{named}` is not below `{}`", self.uri));
        }
        Ok(uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn messages_go_exactly_where_the_config_says() {
        for (url, root) in [("http://h", "/"), ("http://h:1/a/b", "/a/b"), ("http://h/a/?k=1", "/a/?k=1")] {
            assert_eq!(address(url).root(), root);
        }
    }

    #[test]
    fn places_are_below_the_path_and_keep_the_query() {
        for (url, place) in [
            ("http://h", "/runtime/events?sessionId=7"),
            ("http://h/", "/runtime/events?sessionId=7"),
            ("http://h/nlp/", "/nlp/runtime/events?sessionId=7"),
            ("http://h/nlp?k=1", "/nlp/runtime/events?k=1&sessionId=7"),
        ] {
            assert_eq!(address(url).below("/runtime/events?sessionId=7").unwrap(), place);
        }
    }

    #[test]
    fn a_session_stays_with_its_server() {
        let address = address("http://h:1/nlp");
        assert_eq!(address.endpoint("/?sessionId=7").unwrap(), "/nlp/?sessionId=7");
        assert_eq!(address.endpoint("http://h:1/x?sessionId=7").unwrap(), "/x?sessionId=7");
        for elsewhere in ["http://other/?sessionId=7", "https://h:1/", "//other/", "", "here"] {
            assert!(address.endpoint(elsewhere).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for url in ["", "/path", "ftp://h", "h:80", "http://"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for url in ["http://user:secret@h:1", "https://secret@h/x", "http://:secret@h", "http://user:secret@"] {
            let problem = Address::parse(url).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert!(Address::parse("http://user:secret@h:1").unwrap_err().contains("use `token`"));
        assert_eq!(address("http://h/a@b?c=d@e").host(), "h");
    }

    #[test]
    fn what_leaves_the_machine_unencrypted_is_known() {
        for url in ["http://h", "http://10.0.0.1:80/x", "http://[2001:db8::1]/", "http://localhost.example.com"] {
            assert!(address(url).is_open_to_others(), "{url}");
        }
        for url in ["https://h", "http://localhost:1", "http://LOCALHOST", "http://127.1.2.3:4", "http://[::1]:5/x"] {
            assert!(!address(url).is_open_to_others(), "{url}");
        }
    }
}
