//! A host of builtins with a working directory.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::suite::{InboxEvents, MemoryBlobs, inbox, json, task};
use stepflow_engine::ports::ComponentHost as _;
use stepflow_hosts::{BuiltinHost, BuiltinOptions};
use stepflow_protocol::{FlowError, Value};
use tempfile::TempDir;

pub struct Fixture {
    pub host: BuiltinHost,
    pub events: InboxEvents,
    /// The working directory is `work` inside.
    pub outer: TempDir,
}

pub fn fixture_with(allow_paths: &[&str]) -> Fixture {
    let allow_paths = allow_paths.iter().map(PathBuf::from).collect();
    fixture_of(BuiltinOptions { allow_paths, ..BuiltinOptions::default() })
}

pub fn fixture_of(options: BuiltinOptions) -> Fixture {
    let outer = tempfile::tempdir().unwrap();
    let working_dir = outer.path().join("work");
    fs::create_dir(&working_dir).unwrap();
    let (inbox, events) = inbox();
    let options = BuiltinOptions { working_dir, ..options };
    Fixture { host: BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default())), events, outer }
}

pub fn fixture() -> Fixture {
    fixture_with(&[])
}

impl Fixture {
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.outer.path().join("work").join(path), content).unwrap();
    }

    pub async fn run(&mut self, component: &str, input: &str) -> Value {
        self.host.resolve(component, &json(input)).unwrap();
        self.host.offer(task(component, json(input)));
        self.events.output().await
    }

    pub async fn failure(&mut self, component: &str, input: &str) -> FlowError {
        self.host.offer(task(component, json(input)));
        self.events.failure().await
    }
}
