//! How the server connects: TCP, and for `https://` rustls with ring and the certificates that the machine trusts.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

/// How long connecting may take. The system's own limit is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// TCP keep-alive: the silence before the first probe, the time between probes, and how many may fail. A machine that
/// loses its power closes nothing, and the steps on it would wait for ever.
const PROBES: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);

#[cfg(feature = "https")]
pub(crate) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "https"))]
pub(crate) type Connector = HttpConnector;

/// For `http://` only: needs no certificates.
pub(crate) fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(PROBES.0));
    connector.set_keepalive_interval(Some(PROBES.1));
    connector.set_keepalive_retries(Some(PROBES.2));
    connector
}

/// For every address that this build can reach. Reading the machine's certificates takes a while.
///
/// # Errors
///
/// When the certificates cannot be read.
#[cfg(feature = "https")]
pub(crate) async fn connector() -> Result<Connector, String> {
    let reading = tokio::task::spawn_blocking(|| {
        let provider = rustls::crypto::ring::default_provider();
        hyper_rustls::HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)
    });
    let trusted = reading.await.map_err(|error| error.to_string())?;
    let trusted = trusted.map_err(|error| format!("the machine's certificates cannot be read: {error}"))?;
    let mut plain = plain();
    plain.enforce_http(false);
    Ok(trusted.https_or_http().enable_http1().wrap_connector(plain))
}

/// For every address that this build can reach.
#[cfg(not(feature = "https"))]
pub(crate) async fn connector() -> Result<Connector, String> {
    Ok(plain())
}

/// Why this build can never reach an address with this scheme, or `None` if it can.
pub(crate) fn refusal(scheme: Option<&str>) -> Option<&'static str> {
    match scheme {
        Some("http") => None,
        Some("https") if cfg!(feature = "https") => None,
        Some("https") => Some("this server was built without the feature `https`"),
        _ => Some("a URL begins with `http://` or `https://`"),
    }
}
