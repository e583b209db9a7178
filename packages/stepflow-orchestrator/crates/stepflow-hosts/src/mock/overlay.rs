//! The mocks of a test case: they replace the components at their paths.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
use stepflow_flow::node::Content;
use stepflow_flow::{Code, Decoder, Node, Schema};
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::Behavior;
use super::delayed_answers::DelayedAnswers;
use crate::components::output_misfit;

/// The plugin's name: no plugin of a configuration can have it.
const PLUGIN: &str = "(mocks of the case)";

/// What the mocked components answer, by path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mocks(HashMap<String, Answers>);

/// The answers of one mocked component.
#[derive(Debug, Clone, PartialEq)]
enum Answers {
    /// The same for every call.
    Always(Behavior),
    /// One for each call, in the order in which the calls begin.
    Each { answers: Vec<Behavior>, called: usize },
}

impl Mocks {
    /// Reads `{"/path": <answer>}`. `outputs: [value, …]`, or a list of answers, has one for each call. With an
    /// `output_schema`, outputs that do not fit become failures.
    pub fn decode(decoder: &mut Decoder, node: &Node) -> Option<Self> {
        let mocks = decoder.each_member(node, |decoder, entry| answers(decoder, &entry.key, &entry.value))?;
        Some(Self(mocks.into_iter().collect()))
    }
}

fn answers(decoder: &mut Decoder, path: &str, node: &Node) -> Option<Answers> {
    let each = |answers| Answers::Each { answers, called: 0 };
    if let Content::Array(_) = node.content {
        return decoder.each(node, Behavior::decode).map(each);
    }
    let mut fields = decoder.fields(node)?;
    let schema = fields.optional(decoder, "output_schema", schema);
    // Checked now: the answer depends on nothing that is known later.
    let checked = |behavior: Behavior| behavior.map(|output| answer(schema.as_ref(), path, output));
    let answers = if node.get("outputs").is_some() {
        let output = |_: &mut Decoder, output: &Node| Some(checked(Behavior::output(output.to_value())));
        fields.required(decoder, "outputs", |decoder, node| decoder.each(node, output)).map(each)
    } else {
        Behavior::of(decoder, &mut fields).map(|behavior| Answers::Always(checked(behavior)))
    };
    fields.close(decoder);
    answers
}

fn schema(decoder: &mut Decoder, node: &Node) -> Option<Schema> {
    let compiled = Schema::compile(&node.to_value());
    compiled.map_err(|error| decoder.report(Code::InvalidSchema, node.span, error.to_string())).ok()
}

fn answer(schema: Option<&Schema>, path: &str, output: Value) -> Answer {
    match schema.and_then(|schema| output_misfit(schema, path, &output)) {
        Some(error) => Answer::Failed(error.into()),
        None => Answer::Success(output),
    }
}

/// The component host of a test: first the mocks of its case, then the hosts of the configuration.
pub struct MockOverlay {
    behind: Arc<dyn ComponentHost>,
    mocks: Mutex<Mocks>,
    answers: DelayedAnswers,
}

impl MockOverlay {
    /// No mocks yet. To be called inside a tokio runtime.
    #[must_use]
    pub fn new(behind: Arc<dyn ComponentHost>, inbox: Arc<dyn Inbox>) -> Self {
        Self { behind, mocks: Mutex::default(), answers: DelayedAnswers::new(inbox) }
    }

    /// Replaces the mocks. The calls are counted from the first again.
    pub fn set(&self, mocks: Mocks) {
        *self.mocks.lock() = mocks;
    }

    fn next(&self, path: &str) -> Behavior {
        match self.mocks.lock().0.get_mut(path) {
            Some(Answers::Always(behavior)) => behavior.clone(),
            Some(Answers::Each { answers, called }) => {
                *called += 1;
                answers.get(*called - 1).cloned().unwrap_or_else(|| used_up(path, *called, answers.len()).into())
            }
            None => {
                let message = format!("the mock `{path}` belongs to a case that has ended");
                FlowError::new(ErrorKind::OrchestratorError, message).into()
            }
        }
    }
}

impl ComponentHost for MockOverlay {
    fn decided(&self, path: &str) -> BoxFuture<'static, ()> {
        self.behind.decided(path)
    }

    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        if !self.mocks.lock().0.contains_key(path) {
            return self.behind.resolve(path, input);
        }
        let route = Route { plugin: PLUGIN.to_owned(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        if task.route.plugin != PLUGIN {
            return self.behind.offer(task);
        }
        let behavior = self.next(&task.route.component);
        self.answers.give(task.address(), behavior);
    }

    fn proceed(&self, route: &Route, task: Address, hold: u64) {
        if route.plugin != PLUGIN {
            self.behind.proceed(route, task, hold);
        }
    }

    fn cancel(&self, route: &Route, task: Address, reason: &str) {
        match route.plugin.as_str() {
            PLUGIN => self.answers.cancel(task.task),
            _ => self.behind.cancel(route, task, reason),
        }
    }
}

fn used_up(path: &str, call: usize, answers: usize) -> FlowError {
    let message = format!("the mock `{path}` is called for the {} time, and has {answers} answers", ordinal(call));
    FlowError::new(ErrorKind::OrchestratorError, message).with([("component", Value::string(path))])
}

fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
