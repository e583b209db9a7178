//! The options of `serve`.

use clap::Args;

use super::{CONFIG_HERE, ComponentArgs, LogArgs, WORKER_NAMED};
use crate::access;

/// `serve`
#[derive(Debug, Clone, Args)]
#[command(mut_arg("config", |arg| arg.help(CONFIG_HERE)), mut_arg("worker", |arg| arg.help(WORKER_NAMED)))]
pub struct ServeArgs {
    /// Port to listen on; 0 lets the system choose [default: `server.port` of the configuration, else 7840]
    #[arg(short, long, env = "STEPFLOW_PORT", allow_negative_numbers = true, value_parser = port)]
    pub port: Option<u16>,
    /// IP address or host name to listen on [default: `server.host` of the configuration, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = host)]
    pub host: Option<String>,
    /// Keep runs and flows in memory, whatever the configuration says: they are gone when the process ends. Otherwise
    /// they are kept in the `stateStore` of the configuration, by default in the file `.stepflow/state.db` beside it,
    /// and survive the end of the process and of the machine
    #[arg(long)]
    pub memory: bool,
    /// Allow an address that other machines can reach. There are no access tokens yet, so everybody who can connect can
    /// run components
    #[arg(long)]
    pub insecure: bool,
    #[command(flatten)]
    pub components: ComponentArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

fn host(text: &str) -> Result<String, &'static str> {
    access::host(text).map(str::to_owned).ok_or("expected a host name without a port, or an IP address")
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().map_err(|_| "a port is a whole number from 0 to 65535")
}
