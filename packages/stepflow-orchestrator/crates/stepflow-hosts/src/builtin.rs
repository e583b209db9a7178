//! The components that the server runs itself. A leaf builtin is one file in this folder and one line in `ALL`.

mod get_blob;
mod load_file;
mod noop;
mod put_blob;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, Blobs, ComponentHost, Failure, Inbox, Purity, Target, TaskEnvelope};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Value};
use tokio::runtime::Handle;

use crate::components::Components;

/// The name under which builtins take tasks, where nobody gave them another.
const INSTANCE: &str = "builtin";

const ALL: [&dyn Builtin; 4] = [&get_blob::GetBlob, &load_file::LoadFile, &noop::Noop, &put_blob::PutBlob];

/// A component that runs inside the server.
pub(crate) trait Builtin: Send + Sync {
    /// Its path, such as `/noop`.
    fn path(&self) -> &'static str;

    /// What it does, for people.
    fn description(&self) -> &'static str;

    /// What running it again would do.
    fn purity(&self) -> Purity;

    /// JSON Schema of its input.
    fn input_schema(&self) -> Json;

    /// JSON Schema of its output.
    fn output_schema(&self) -> Json;

    /// Runs it on an input that fits the schema.
    fn run(&self, input: Value, world: Arc<World>) -> BoxFuture<'static, Result<Value, Failure>>;
}

/// What the builtins may touch.
pub(crate) struct World {
    options: BuiltinOptions,
    blobs: Arc<dyn Blobs>,
}

/// What the config says of the plugin.
#[derive(Debug, Clone, Default)]
pub struct BuiltinOptions {
    /// Relative paths start here, and nothing outside is read. Absolute.
    pub working_dir: PathBuf,
    /// Folders and files that may be read as well; relative ones start at `working_dir`.
    pub allow_paths: Vec<PathBuf>,
}

/// The host of the builtins.
pub struct BuiltinHost {
    builtins: HashMap<&'static str, &'static dyn Builtin>,
    components: Components,
    world: Arc<World>,
    inbox: Arc<dyn Inbox>,
    runtime: Handle,
}

impl BuiltinHost {
    /// The builtins. To be called inside a tokio runtime, on which they will run.
    #[must_use]
    pub fn new(options: BuiltinOptions, inbox: Arc<dyn Inbox>, blobs: Arc<dyn Blobs>) -> Self {
        Self {
            builtins: ALL.into_iter().map(|builtin| (builtin.path(), builtin)).collect(),
            components: Components::new(INSTANCE, ALL.into_iter().map(describe).collect()),
            world: Arc::new(World { options, blobs }),
            inbox,
            runtime: Handle::current(),
        }
    }

    /// What there is, by path.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        self.components.infos().to_vec()
    }
}

impl ComponentHost for BuiltinHost {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        self.components.check(INSTANCE, path, input)?;
        let purity = self.builtins.get(path).map_or(Purity::External, |builtin| builtin.purity());
        Ok(Target::Component { route: Route { plugin: INSTANCE.to_owned(), component: path.to_owned() }, purity })
    }

    fn offer(&self, task: TaskEnvelope) {
        let Some(builtin) = self.builtins.get(task.route.component.as_str()).copied() else {
            // A run begun under another release.
            let message = format!("this release has no builtin `{}`", task.route.component);
            return self
                .inbox
                .answer(task.task, Answer::Failed(FlowError::new(ErrorKind::ComponentNotFound, message).into()));
        };
        let (inbox, world) = (Arc::clone(&self.inbox), Arc::clone(&self.world));
        self.runtime.spawn(async move {
            inbox.started(task.task, INSTANCE);
            let running = AssertUnwindSafe(builtin.run(task.input, world)).catch_unwind();
            inbox.answer(
                task.task,
                match running.await {
                    Ok(Ok(output)) => Answer::Success(output),
                    Ok(Err(failure)) => Answer::Failed(failure),
                    Err(_) => Answer::Failed(panicked(builtin.path()).into()),
                },
            );
        });
    }

    /// Builtins are short: they run to their end and answer.
    fn cancel(&self, _route: &Route, _task: TaskRef, _reason: &str) {}
}

fn describe(builtin: &dyn Builtin) -> ComponentInfo {
    ComponentInfo {
        component: builtin.path().to_owned(),
        description: Some(builtin.description().to_owned()),
        input_schema: Some(Value::from_json(&builtin.input_schema())),
        output_schema: Some(Value::from_json(&builtin.output_schema())),
    }
}

/// The input as the type that the schema describes.
fn read<T: DeserializeOwned>(input: &Value) -> Result<T, Failure> {
    input
        .deserialize()
        .map_err(|error| FlowError::new(ErrorKind::InvalidInput, format!("the input does not fit: {error}")).into())
}

fn panicked(path: &str) -> FlowError {
    FlowError::new(
        ErrorKind::OrchestratorError,
        format!("the builtin `{path}` failed in a way that is a bug of the server"),
    )
}
