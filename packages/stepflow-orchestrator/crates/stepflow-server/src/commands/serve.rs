//! `serve`: the HTTP API, until somebody says stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::api;
use crate::cli::ServeArgs;
use crate::config;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::progress::Terminal;
use crate::service::{Needs, Service};
use crate::stderr::{Paint, line};

/// The port, where nothing says another.
const PORT: u16 = 7840;

/// How long a worker may take to end by itself when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Serves the API.
pub async fn serve(args: ServeArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let config = config::find(&args.components, None)?;
    config.refuse_what_is_not_built()?;
    let address = address(&args, &config);
    refuse_to_be_open(address.ip(), &args, &config)?;
    let mut interrupts =
        Interrupts::listen().map_err(|error| Failure::outside(format!("cannot listen for signals: {error}")))?;
    let listener = TcpListener::bind(address).await.map_err(|error| unavailable(address, &error))?;
    let address = listener.local_addr().map_err(|error| unavailable(address, &error))?;

    let service = Arc::new(Service::new(&config, GRACE).map_err(|error| Failure::outside(error.to_string()))?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = api::run(listener, Arc::clone(&service), async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(serving);
    document::print(&format!("{{\"port\":{}}}", address.port()))?;
    terminal.aside(|| announce(address, &config));

    let starting = tokio::spawn(start_workers(Arc::clone(&service)));
    interrupts.next().await;
    tracing::info!("stopping");
    starting.abort();
    service.stop_waiting();
    let _ = stop.send(());
    let ended = async {
        service.shutdown().await;
        serving.await
    };
    let ended = tokio::select! {
        ended = ended => ended,
        () = interrupts.next() => {
            return Ok(Exit::Interrupted);
        }
    };
    match ended {
        Ok(Ok(())) => Ok(Exit::Success),
        Ok(Err(error)) => Err(Failure::outside(format!("the server stopped: {error}"))),
        Err(error) => Err(Failure::outside(format!("the server stopped: {error}"))),
    }
}

/// Starts the workers. One that fails is reported here and in `/ready`, and tried again; the others serve.
async fn start_workers(service: Arc<Service>) {
    for error in service.start(Needs::Everything).await.err().unwrap_or_default() {
        tracing::error!("{error}");
    }
}

fn announce(address: SocketAddr, config: &config::Config) {
    line(format_args!("serving http://{address}/api/v1 with {}", config.origin()));
    line(format_args!(
        "{} runs and flows are kept in memory for now: they are gone when this process ends",
        Paint::Warning.on("warning:")
    ));
}

/// Where to listen: the command line goes before the configuration.
fn address(args: &ServeArgs, config: &config::Config) -> SocketAddr {
    let host = args.host.or(config.server.host).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    SocketAddr::new(host, args.port.or(config.server.port).unwrap_or(PORT))
}

/// Everyone who reaches the API can run components, so without tokens only this machine may.
fn refuse_to_be_open(host: IpAddr, args: &ServeArgs, config: &config::Config) -> Result<(), Failure> {
    if host.is_loopback() || args.insecure {
        return Ok(());
    }
    let (asked, remedy) = match args.host {
        Some(_) => (format!("`--host {host}`"), "leave `--host` out".to_owned()),
        None => (format!("`server.host: {host}` in {}", config.origin()), "use `127.0.0.1`".to_owned()),
    };
    let message = format!("{asked} lets other machines run components here, and there are no access tokens yet");
    let failure = if args.host.is_some() { Failure::usage(message) } else { Failure::outside(message) };
    Err(failure.hint(format!("{remedy}, or add `--insecure` on a network that you trust")))
}

fn unavailable(address: SocketAddr, error: &std::io::Error) -> Failure {
    let failure = Failure::outside(format!("cannot listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => failure.hint("is a server running already? `--port 0` takes any free port"),
        _ => failure,
    }
}
