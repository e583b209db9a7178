//! Starts a program of `workers/` under a host, with a mark in its environment: it and all processes that it starts can
//! be found by the mark.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use stepflow_engine::ports::{Address, Blob, Blobs, StoreError};
use stepflow_flow::Plan;
use stepflow_hosts::{RestartPolicy, StartError, Transport, WorkerHost, WorkerOptions};
use stepflow_hosts::{RunRequest, Runs, RunsError, ServedToWorkers};
use stepflow_protocol::{BlobId, FlowId, ResultOrder, RunId, RunStatusProtocol};
use uuid::Uuid;

use crate::suite::{InboxEvents, MemoryBlobs, inbox};

/// The variable that holds the mark.
const MARK: &str = "STEPFLOW_TEST_MARK";

/// A worker that is not started yet.
pub struct Builder {
    options: WorkerOptions,
    mark: String,
}

/// A host with its worker. Dropping it ends the worker.
pub struct Fixture {
    pub host: Arc<WorkerHost>,
    pub events: InboxEvents,
    mark: String,
}

/// The program `workers/<name>.py`.
pub fn worker(name: &str) -> Builder {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workers");
    let script = scripts.join(name).with_extension("py");
    command("python3").args(&[script.to_str().unwrap()])
}

/// Any command.
pub fn command(command: &str) -> Builder {
    let mark = Uuid::now_v7().to_string();
    let mut options = WorkerOptions::new("python", command, std::env::temp_dir());
    options.env.insert(MARK.to_owned(), mark.clone());
    options.env.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
    options.shutdown_grace = Duration::from_secs(5);
    // The delays of the real policy are made for people.
    options.restart = RestartPolicy {
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(4),
        crashes: 5,
        pause: Duration::from_secs(60),
    };
    Builder { options, mark }
}

impl Builder {
    pub fn args(mut self, args: &[&str]) -> Self {
        self.options.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.options.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn inherit(mut self, names: &[&str]) -> Self {
        self.options.inherit_env = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    /// With the mark of a test in another process.
    pub fn marked(mut self, mark: String) -> Self {
        self.options.env.insert(MARK.to_owned(), mark.clone());
        self.mark = mark;
        self
    }

    pub fn withhold(mut self, name: &str) -> Self {
        self.options.withheld_env.push(name.to_owned());
        self
    }

    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.options.cwd = cwd.into();
        self
    }

    pub fn max_concurrency(mut self, limit: usize) -> Self {
        self.options.max_concurrency = Some(limit);
        self
    }

    pub fn validate_outputs(mut self) -> Self {
        self.options.validate_outputs = true;
        self
    }

    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.options.start_timeout = timeout;
        self
    }

    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.options.shutdown_grace = grace;
        self
    }

    pub fn transport(mut self, transport: Transport) -> Self {
        self.options.transport = transport;
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.options.token = Some(token.to_owned());
        self
    }

    pub fn health_timeout(mut self, timeout: Duration) -> Self {
        self.options.health_check.timeout = timeout;
        self
    }

    pub fn instances(mut self, instances: usize) -> Self {
        self.options.instances = instances;
        self
    }

    pub fn max_message(mut self, bytes: usize) -> Self {
        self.options.max_message = bytes;
        self
    }

    pub fn cancel_grace(mut self, grace: Duration) -> Self {
        self.options.cancel_grace = grace;
        self
    }

    pub fn restart(mut self, change: impl FnOnce(&mut RestartPolicy)) -> Self {
        change(&mut self.options.restart);
        self
    }

    /// A host whose worker is not started.
    pub fn build(self) -> Fixture {
        let (inbox, events) = inbox();
        let host = Arc::new(WorkerHost::new(self.options, inbox, served()));
        Fixture { host, events, mark: self.mark }
    }

    /// The same, with blobs that the test gives.
    pub fn build_with(self, blobs: Arc<dyn Blobs>) -> Fixture {
        let (inbox, events) = inbox();
        let host = Arc::new(WorkerHost::new(self.options, inbox, ServedToWorkers { blobs, ..served() }));
        Fixture { host, events, mark: self.mark }
    }

    /// A host whose worker has answered the handshake.
    pub async fn start(self) -> Fixture {
        let fixture = self.build();
        fixture.host.start().await.unwrap();
        fixture
    }

    /// Why the worker does not start. Also checks that nothing of it is left.
    pub async fn start_error(self) -> StartError {
        let fixture = self.build();
        let error = fixture.host.start().await.unwrap_err();
        fixture.host.shutdown().await;
        assert_eq!(fixture.processes(), 0, "something is left behind");
        error
    }
}

impl Fixture {
    /// How many processes of the machine are alive and have this fixture's mark.
    pub fn processes(&self) -> usize {
        processes_marked(&self.mark)
    }
}

/// How many processes of the machine are alive and have this mark.
pub fn processes_marked(mark: &str) -> usize {
    let marked = format!("{MARK}={mark}").into_bytes();
    let carries = |environ: Vec<u8>| environ.split(|byte| *byte == 0).any(|entry| entry == marked);
    // The environment of a zombie is empty: a dead process that is not reaped does not count.
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.filter(|entry| fs::read(entry.path().join("environ")).is_ok_and(carries)).count()
}

/// Blobs that count how often one is requested.
#[derive(Default)]
pub struct CountedBlobs {
    blobs: MemoryBlobs,
    got: AtomicUsize,
}

impl CountedBlobs {
    pub fn got(&self) -> usize {
        self.got.load(Ordering::Relaxed)
    }
}

impl Blobs for CountedBlobs {
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>> {
        self.blobs.put(blob)
    }

    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>> {
        self.got.fetch_add(1, Ordering::Relaxed);
        self.blobs.get(id)
    }
}

/// No flows and no runs.
struct NoRuns;

fn nothing(what: &'static str, id: &dyn std::fmt::Display) -> RunsError {
    RunsError::NotFound { what, id: id.to_string() }
}

impl Runs for NoRuns {
    fn flow(&self, id: FlowId) -> BoxFuture<'static, Result<Arc<Plan>, RunsError>> {
        ready(Err(nothing("flow", &id))).boxed()
    }

    fn submit(&self, request: RunRequest) -> BoxFuture<'static, Result<RunId, RunsError>> {
        ready(Err(nothing("flow", &request.flow_id))).boxed()
    }

    fn status(&self, run: RunId, _: Option<ResultOrder>) -> BoxFuture<'static, Result<RunStatusProtocol, RunsError>> {
        ready(Err(nothing("run", &run))).boxed()
    }

    fn ended(&self, _: RunId, _: Option<Address>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

/// The ports of a server without flows and runs.
pub fn served() -> ServedToWorkers {
    ServedToWorkers { blobs: Arc::new(MemoryBlobs::default()), runs: Arc::new(NoRuns) }
}
