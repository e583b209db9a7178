//! `serve`

use clap::Args;

use super::{ComponentArgs, LogArgs};
use crate::access;

/// `serve`
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Port to listen on; 0 lets the system choose [default: the configuration's, else 7840]
    #[arg(short, long, env = "STEPFLOW_PORT", allow_negative_numbers = true)]
    pub port: Option<u16>,
    /// Address to listen on, or a name that leads to it [default: the configuration's, else 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", value_parser = host)]
    pub host: Option<String>,
    /// Listen on an address that others can reach, although there are no access tokens yet: everybody who reaches it can
    /// run components
    #[arg(long)]
    pub insecure: bool,
    #[command(flatten)]
    pub components: ComponentArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

fn host(text: &str) -> Result<String, &'static str> {
    access::host(text).map(str::to_owned).ok_or("it takes a host name without a port, or an IP address")
}
