//! `serve`: serves the HTTP API until a signal stops it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::ports::StoreError;
use stepflow_store::sqlite::{self, Durability};
use tokio::net::TcpListener;

use crate::access::Access;
use crate::api;
use crate::cli::ServeArgs;
use crate::config::{self, Config, StateStore};
use crate::document;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::progress::{Terminal, short};
use crate::service::{Needs, Service};
use crate::stderr::{Paint, line};
use crate::store::Store;
use crate::wording::retention;

/// The address, if neither the command line nor the configuration sets it.
const DEFAULT_HOST: &str = "127.0.0.1";

/// The port, if neither the command line nor the configuration sets it.
const DEFAULT_PORT: u16 = 7840;

/// How long a worker may take to end by itself when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Serves the API.
pub async fn serve(args: ServeArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let config = config::find(&args.components, None)?;
    config.refuse_what_is_not_built()?;
    let host = args.host.as_deref().or(config.server.host.as_deref()).unwrap_or(DEFAULT_HOST);
    let origin = config.server.host_origin.as_ref().filter(|_| args.host.is_none());
    let shown = origin.map_or_else(|| format!("`{host}`"), |origin| format!("the host that is {origin}"));
    let unknown = |error| Failure::outside(format!("cannot find the address of {shown}: {error}"));
    let addresses = addresses(host, args.port.or(config.server.port).unwrap_or(DEFAULT_PORT)).await.map_err(unknown)?;
    refuse_to_be_open(&shown, &addresses, &args, &config)?;
    let mut interrupts =
        Interrupts::listen().map_err(|error| Failure::outside(format!("cannot listen for signals: {error}")))?;
    let listener = TcpListener::bind(&*addresses).await.map_err(|error| unavailable(&shown, &addresses, &error))?;
    let address = listener.local_addr().map_err(|error| unavailable(&shown, &addresses, &error))?;

    let store =
        if args.memory { Store::default() } else { Store::open(&config.state).map_err(|error| not_opened(&error))? };
    // Before the engine is started: later some may have ended.
    let open_runs = store.open_runs().await;
    let service =
        Arc::new(Service::serving(&config, store, GRACE).map_err(|error| Failure::outside(error.to_string()))?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let api = api::router(Arc::clone(&service), access(host, &config));
    let serving = api::run(listener, api, async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(serving);
    document::print(&format!("{{\"port\":{}}}", address.port()))?;
    terminal.aside(|| announce(address, &config, args.memory, open_runs));

    let starting = tokio::spawn(start_workers(Arc::clone(&service)));
    interrupts.next().await;
    tracing::info!("stopping");
    starting.abort();
    service.stop_waiting();
    let _ = stop.send(());
    let grace = config.server.stop_grace();
    let ended = async {
        let what = format!("letting steps end, for {} at most", short(grace));
        let _ = tokio::time::timeout(grace, terminal.while_waiting(false, &what, service.drain())).await;
        service.shutdown().await;
        serving.await
    };
    let ended = tokio::select! {
        ended = ended => ended,
        () = interrupts.next() => {
            service.abandon().await;
            return Ok(Exit::Interrupted);
        }
    };
    match ended {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(Failure::outside(format!("the server stopped: {error}"))),
        Err(error) => Err(Failure::outside(format!("the server stopped: {error}"))),
    }
}

/// Starts the workers. One that fails is reported here and in `/ready`, and is started again later; the others serve.
async fn start_workers(service: Arc<Service>) {
    for error in service.start(Needs::Everything).await.err().unwrap_or_default() {
        tracing::error!("{error}");
    }
}

/// Advises to do without a database only where that is no danger: runs that another server has, or that a damaged file
/// has, would be missed.
fn not_opened(error: &sqlite::Error) -> Failure {
    let failure = Failure::outside(error.to_string());
    match error {
        sqlite::Error::CannotOpen { .. } => failure.hint(
            "`stateStore.path` in the configuration names another place; with `--memory` runs are in memory only, and \
             gone when the server ends",
        ),
        _ => failure,
    }
}

fn announce(address: SocketAddr, config: &Config, memory: bool, open_runs: Result<usize, StoreError>) {
    if let Some(risks) = config.risks() {
        line(risks.trim_end());
    }
    line(format_args!("serving http://{address}/api/v1 with {}", config.origin()));
    let warning = Paint::Warning.on("warning:");
    match &config.state {
        StateStore::Sqlite(options) if !memory => {
            line(format_args!("runs and flows are kept in `{}`", options.path.display()));
            if options.durability == Durability::Relaxed {
                line(format_args!(
                    "{warning} `durability: relaxed`: the last of them may be lost when the machine dies"
                ));
            }
            if let Some(rule) = retention(&options.retention) {
                line(rule);
            }
        }
        _ => {
            line(format_args!("{warning} runs and flows are kept in memory only: they are gone when this process ends"))
        }
    }
    match open_runs {
        Ok(0) => {}
        Ok(1) => line("1 unfinished run goes on"),
        Ok(count) => line(format_args!("{count} unfinished runs go on")),
        Err(error) => line(format_args!("{warning} the unfinished runs cannot be counted: {error}")),
    }
}

/// The addresses of the host. IPv4 comes first, because most programs use it for `localhost`.
async fn addresses(host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

/// Who may use the API. The host to listen on is also an allowed host name.
fn access(host: &str, config: &Config) -> Access {
    let names = config.server.allowed_hosts.iter().cloned().chain([host.to_owned()]);
    Access::new(names.collect(), config.server.origins.clone())
}

/// Everybody who can connect to the API can run components. As long as there are no tokens, only this machine may.
fn refuse_to_be_open(shown: &str, addresses: &[SocketAddr], args: &ServeArgs, config: &Config) -> Result<(), Failure> {
    if args.insecure || addresses.iter().all(|address| address.ip().is_loopback()) {
        return Ok(());
    }
    let (setting, remedy) = match &args.host {
        Some(host) => (format!("`--host {host}`"), "leave `--host` out".to_owned()),
        None => (format!("`server.host` in {}, {shown},", config.origin()), "use `127.0.0.1`".to_owned()),
    };
    let message =
        format!("{setting} lets other machines run components on this one, and there are no access tokens yet");
    let failure = if args.host.is_some() { Failure::usage(message) } else { Failure::outside(message) };
    Err(failure.hint(format!("{remedy}, or add `--insecure` on a network that you trust")))
}

fn unavailable(shown: &str, addresses: &[SocketAddr], error: &std::io::Error) -> Failure {
    let place = addresses.first().map_or_else(|| shown.to_owned(), SocketAddr::to_string);
    let failure = Failure::outside(format!("cannot listen on {place}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => failure.hint("is a server running already? `--port 0` takes any free port"),
        _ => failure,
    }
}
