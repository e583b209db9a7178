//! Starts programs of `workers/` that serve HTTP, and makes hosts that know their addresses.
#![allow(dead_code)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::ports::Blobs;
use stepflow_hosts::ServedToWorkers;
use stepflow_hosts::{RestartPolicy, StartError, WorkerHost, WorkerOptions};
use stepflow_protocol::Value;

use crate::suite::{InboxEvents, in_time, inbox};
use crate::worker_fixture::served;

/// A running worker. Dropping it kills it.
pub struct Peer {
    child: Child,
    pub port: u16,
}

/// A host, and what it tells its inbox.
pub struct Fixture {
    pub host: Arc<WorkerHost>,
    pub events: InboxEvents,
}

/// Starts `workers/<name>.py`.
pub fn peer(name: &str, args: &[&str]) -> Peer {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workers").join(name).with_extension("py");
    let mut command = Command::new("python3");
    command.arg(script).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    // It ends with its stdin, so it ends with the test, however the test ends.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said = Value::parse(line.as_str()).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let port = said.field("port").unwrap().deserialize().unwrap();
    Peer { child, port }
}

impl Peer {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until the process has ended by itself.
    pub async fn ended(&mut self) {
        // `wait` would close its stdin, and that would end it.
        let ended = async {
            while self.child.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        in_time("the worker does not end", ended).await;
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The options for workers at these addresses.
pub fn at(urls: &[String]) -> WorkerOptions {
    let mut options = WorkerOptions::at("python", urls.iter().cloned());
    // The delays of the real policy are made for people.
    options.restart = RestartPolicy {
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(50),
        crashes: 1000,
        pause: Duration::from_secs(60),
    };
    options
}

/// A host that is not started.
pub fn build(options: WorkerOptions) -> Fixture {
    let (inbox, events) = inbox();
    Fixture { host: Arc::new(WorkerHost::new(options, inbox, served())), events }
}

/// A host with blobs that the test gives.
pub fn build_with(options: WorkerOptions, blobs: Arc<dyn Blobs>) -> Fixture {
    let (inbox, events) = inbox();
    Fixture { host: Arc::new(WorkerHost::new(options, inbox, ServedToWorkers { blobs, ..served() })), events }
}

/// A started host, whose workers have answered.
pub async fn start(options: WorkerOptions) -> Fixture {
    let fixture = build(options);
    fixture.host.start().await.unwrap();
    fixture
}

/// A host for one worker of `workers/`, with that worker.
pub async fn start_with(name: &str, args: &[&str]) -> (Peer, Fixture) {
    let peer = peer(name, args);
    let fixture = start(at(&[peer.url()])).await;
    (peer, fixture)
}

/// Why a host does not start.
pub async fn start_error(options: WorkerOptions) -> StartError {
    let fixture = build(options);
    let error = fixture.host.start().await.unwrap_err();
    fixture.host.shutdown().await;
    error
}
