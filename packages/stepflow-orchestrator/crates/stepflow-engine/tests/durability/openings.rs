//! How most stories begin, and what is asked in them.

use std::time::Duration;

use serde_json::{Value as Json, json};
use stepflow_engine::ports::TaskEnvelope;
use stepflow_engine::{CancelError, Engine, Error, Options, Origin, Parent, Submission};
use stepflow_protocol::RunId;
use tokio::task::JoinHandle;

use super::story::{Story, submission};

pub fn new() -> Story {
    super::panics::watch();
    Story::new(0, Options::default())
}

/// An engine that keeps nothing in memory that it need not.
pub fn parking() -> Story {
    super::panics::watch();
    Story::new(0, Options { park_after: Duration::ZERO, idle_bytes: 0, ..Options::default() })
}

/// A flow of one step.
pub fn one(component: &str) -> Json {
    json!({"steps": [{"id": "a", "component": component, "input": 1}], "output": {"$step": "a"}})
}

pub fn one_of(component: &str) -> Submission {
    submission(&one(component), &[json!({})])
}

/// A flow of two steps that do not wait for each other.
pub fn two(first: &str, second: &str) -> Json {
    json!({"steps": [
        {"id": "a", "component": first, "input": 1},
        {"id": "b", "component": second, "input": 2}],
        "output": [{"$step": "a"}, {"$step": "b"}]})
}

/// A run of one step, which its host has.
pub fn offered(component: &str) -> (Story, RunId) {
    let mut story = new();
    let root = story.begin(one_of(component));
    story.store_all();
    (story, root)
}

/// A run of one step, which a worker has.
pub fn started() -> (Story, RunId, TaskEnvelope) {
    let (story, root) = offered("/t/wrap");
    let task = story.job("/wrap");
    story.start(task.task);
    (story, root, task)
}

/// The attempt asks for a run of its own.
pub async fn asked_by(engine: Engine, task: TaskEnvelope, flow: Json) -> Result<RunId, Error> {
    let origin = Origin { parent: Parent::Attempt(task.address()), key: None, detached: false };
    engine.submit_from(origin, submission(&flow, &[json!(5)])).await
}

impl Story {
    pub fn cancel(&self, run: RunId) -> JoinHandle<Result<(), CancelError>> {
        let engine = self.life.engine.clone();
        self.ask(async move { engine.cancel(run, "a test", None).await })
    }

    /// Waits for the run's end.
    pub fn wait(&self, run: RunId) -> JoinHandle<()> {
        let engine = self.life.engine.clone();
        self.ask(async move { engine.ended(run, None).await })
    }

    /// Stops the engine in good order.
    pub fn stop(&self) -> JoinHandle<()> {
        let engine = self.life.engine.clone();
        self.ask(async move { engine.shutdown().await })
    }

    /// The worker that has this attempt asks for a run of this flow.
    pub fn request(&self, task: &TaskEnvelope, flow: Json) -> JoinHandle<Result<RunId, Error>> {
        self.ask(asked_by(self.life.engine.clone(), task.clone(), flow))
    }

    /// The run asks for one below it.
    pub fn request_below(&self, run: RunId) -> JoinHandle<Result<RunId, Error>> {
        let engine = self.life.engine.clone();
        let origin = Origin { parent: Parent::Run(run), key: None, detached: false };
        self.ask(async move { engine.submit_from(origin, one_of("/t/null")).await })
    }
}
