//! The components that the server runs itself. A leaf builtin is one file in this folder and one line in `ALL`; those
//! that are control flow of the engine are listed in `control_flow`.

mod control_flow;
mod create_messages;
mod get_blob;
mod load_file;
mod noop;
mod openai;
mod put_blob;
mod template;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, Blobs, ComponentHost, Failure, Inbox, Purity, Target, TaskEnvelope};
use stepflow_flow::subflow::{self, Takes};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, MAX_DEPTH, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::components::Components;
pub use openai::{OpenAiOptions, base_url_problem};
pub use template::{RENDER_TEMPLATES, render_templates};

/// The instance name of the builtins where the config gives no other.
const INSTANCE: &str = "builtin";

const ALL: [&dyn Builtin; 7] = [
    &create_messages::CreateMessages,
    &get_blob::GetBlob,
    &load_file::LoadFile,
    &noop::Noop,
    &openai::OpenAi,
    &put_blob::PutBlob,
    &template::Template,
];

/// A component that runs inside the server.
pub(crate) trait Builtin: Send + Sync {
    /// What it is.
    fn about(&self) -> About;

    /// JSON Schema of its input.
    fn input_schema(&self) -> Json;

    /// JSON Schema of its output.
    fn output_schema(&self) -> Json;

    /// Whether it waits for something outside the server, so that it can be stopped while it waits.
    fn waits(&self) -> bool {
        false
    }

    /// Runs it on an input that fits the schema. If it waits, dropping the future ends it.
    fn run(&self, input: Value, resources: Arc<Resources>) -> BoxFuture<'static, Result<Value, Failure>>;
}

/// What a builtin is, whatever its input.
pub(crate) struct About {
    /// Its path, such as `/noop`.
    pub path: &'static str,
    /// What it does, for people.
    pub description: &'static str,
    /// What running it again would do.
    pub purity: Purity,
}

/// What the builtins have access to.
pub(crate) struct Resources {
    options: BuiltinOptions,
    blobs: Arc<dyn Blobs>,
    openai: openai::Client,
    renderers: template::Renderers,
}

/// What the config says of the plugin.
#[derive(Debug, Clone, Default)]
pub struct BuiltinOptions {
    /// Relative paths start here. Nothing outside is read, and nothing whose name begins with a dot. Absolute.
    pub working_dir: PathBuf,
    /// Folders and files that may always be read; relative ones start at `working_dir`.
    pub allow_paths: Vec<PathBuf>,
    /// Files with configurations of servers, which are not read unless `allow_paths` lists them; relative ones start at
    /// `working_dir`.
    pub config_files: Vec<PathBuf>,
    /// How `/openai` reaches OpenAI.
    pub openai: OpenAiOptions,
    /// A program that calls `render_templates` when its only argument is `RENDER_TEMPLATES`; without it there are no
    /// templates.
    pub renderer: Option<PathBuf>,
}

/// The host of the builtins.
pub struct BuiltinHost {
    builtins: HashMap<&'static str, &'static dyn Builtin>,
    components: Components,
    resources: Arc<Resources>,
    inbox: Arc<dyn Inbox>,
    runtime: Handle,
    /// The tasks of builtins that wait, each with the sender that stops it.
    waiting: Arc<Mutex<HashMap<TaskRef, oneshot::Sender<()>>>>,
}

impl BuiltinHost {
    /// The builtins. To be called inside a tokio runtime, on which they will run.
    #[must_use]
    pub fn new(options: BuiltinOptions, inbox: Arc<dyn Inbox>, blobs: Arc<dyn Blobs>) -> Self {
        let renderers = template::Renderers::new(options.renderer.clone());
        let infos = ALL.into_iter().map(describe).chain(control_flow::infos()).collect();
        Self {
            builtins: ALL.into_iter().map(|builtin| (builtin.about().path, builtin)).collect(),
            // The tests of this crate check the builtins' outputs, so they are not checked again at run time.
            components: Components::new(INSTANCE, infos, false),
            resources: Arc::new(Resources { options, blobs, openai: openai::Client::default(), renderers }),
            inbox,
            runtime: Handle::current(),
            waiting: Arc::default(),
        }
    }

    /// The builtins, by path.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        self.components.infos().to_vec()
    }
}

impl ComponentHost for BuiltinHost {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        control_flow::refuse_code(path, input)?;
        self.components.check(INSTANCE, path, input)?;
        if let Some(target) = control_flow::target(path) {
            return Ok(target);
        }
        let route = Route { plugin: INSTANCE.to_owned(), component: path.to_owned() };
        let purity = self.purity(&route);
        Ok(Target::Component { route, purity })
    }

    fn takes_flow(&self, path: &str) -> Option<Takes> {
        subflow::of_builtin(path)
    }

    fn purity(&self, route: &Route) -> Purity {
        self.builtins.get(route.component.as_str()).map_or(Purity::External, |builtin| builtin.about().purity)
    }

    fn offer(&self, task: TaskEnvelope) {
        let Some(builtin) = self.builtins.get(task.route.component.as_str()).copied() else {
            // The run was begun by another release.
            let message = format!("this release has no builtin `{}`", task.route.component);
            return self
                .inbox
                .answer(task.address(), Answer::Failed(FlowError::new(ErrorKind::ComponentNotFound, message).into()));
        };
        let (inbox, resources) = (Arc::clone(&self.inbox), Arc::clone(&self.resources));
        let address = task.address();
        let stop = builtin.waits().then(|| self.cancellation(task.task));
        self.runtime.spawn(async move {
            inbox.started(address, None);
            let running = AssertUnwindSafe(builtin.run(task.input, resources)).catch_unwind();
            let ended = match stop {
                None => Some(running.await),
                Some(stop) => tokio::select! {
                    ended = running => Some(ended),
                    () = stop => None,
                },
            };
            inbox.answer(
                address,
                match ended {
                    Some(Ok(Ok(output))) if output.depth() > MAX_DEPTH => Answer::Failed(too_deep().into()),
                    Some(Ok(Ok(output))) => Answer::Success(output),
                    Some(Ok(Err(failure))) => Answer::Failed(failure),
                    Some(Err(_)) => Answer::Failed(panicked(builtin.about().path).into()),
                    None => Answer::Cancelled,
                },
            );
        });
    }

    /// Stops a builtin that waits. The others are short: they run to their end and answer.
    fn cancel(&self, _route: &Route, task: Address, _reason: &str) {
        if let Some(cancel) = self.waiting.lock().remove(&task.task) {
            let _ = cancel.send(());
        }
    }
}

impl BuiltinHost {
    /// Ready when the task is cancelled. Dropping it takes the task out of the list.
    fn cancellation(&self, task: TaskRef) -> impl Future<Output = ()> + Send + use<> {
        let (cancel, cancelled) = oneshot::channel();
        self.waiting.lock().insert(task, cancel);
        let forget = ForgetOnDrop { task, waiting: Arc::clone(&self.waiting) };
        async move {
            let _ = cancelled.await;
            drop(forget);
        }
    }
}

/// Takes a task out of the list of those that wait, however its wait ends.
struct ForgetOnDrop {
    task: TaskRef,
    waiting: Arc<Mutex<HashMap<TaskRef, oneshot::Sender<()>>>>,
}

impl Drop for ForgetOnDrop {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.task);
    }
}

fn describe(builtin: &dyn Builtin) -> ComponentInfo {
    let About { path, description, .. } = builtin.about();
    ComponentInfo {
        component: path.to_owned(),
        description: Some(description.to_owned()),
        input_schema: Some(Value::from_json(&builtin.input_schema())),
        output_schema: Some(Value::from_json(&builtin.output_schema())),
    }
}

/// The input as the type that the schema describes.
fn read<T: DeserializeOwned>(input: &Value) -> Result<T, Failure> {
    input
        .deserialize_object()
        .map_err(|error| FlowError::new(ErrorKind::InvalidInput, format!("the input does not fit: {error}")).into())
}

/// The error for an output that is nested too deeply: it has a value inside it that is itself at the limit.
fn too_deep() -> FlowError {
    FlowError::new(ErrorKind::ComponentFailed, format!("the output would be nested more than {MAX_DEPTH} deep"))
}

fn panicked(path: &str) -> FlowError {
    FlowError::new(
        ErrorKind::OrchestratorError,
        format!("the builtin `{path}` failed in a way that is a bug of the server"),
    )
}
