//! Components that answer from a list and do nothing else. There are two kinds: the plugin `mock` of a configuration,
//! whose answers depend on the input, and the mocks of a test case, which replace the components of the same path.

mod behavior;
mod delayed_answers;
mod overlay;

use std::collections::HashMap;
use std::sync::Arc;

use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, ComponentHost, Inbox, Purity, Target, TaskEnvelope};
use stepflow_flow::{Code, Decoder, Entry, Node, Schema};
use stepflow_protocol::{ComponentInfo, ErrorKind, FlowError, Kind, Value, ValueError};

pub use behavior::Behavior;
pub use overlay::{MockOverlay, Mocks};

use crate::components::Components;
use delayed_answers::DelayedAnswers;

/// The instance name of mocks.
const INSTANCE: &str = "mock";

/// How many known inputs an error lists.
const NAMED: usize = 5;

/// The plugin's config: its components, and what each answers to which input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MockOptions {
    /// Whether outputs have to fit their `output_schema`.
    pub validate_outputs: bool,
    components: Vec<MockComponent>,
}

/// A component of the plugin.
#[derive(Debug, Clone, PartialEq)]
struct MockComponent {
    info: ComponentInfo,
    /// The inputs as they were written, with their answers.
    behaviors: Vec<(Value, Behavior)>,
}

impl MockOptions {
    /// Reads the plugin's `components`: `{path: {input_schema, output_schema, behaviors: {<input>: <answer>}}}`.
    ///
    /// The key of a behavior is the whole input, as JSON text; a text that is not JSON is that string.
    pub fn decode(decoder: &mut Decoder, components: &Node) -> Option<Self> {
        let components = decoder.each_member(components, component)?;
        Some(Self { components: components.into_iter().map(|(_, component)| component).collect(), ..Self::default() })
    }
}

fn component(decoder: &mut Decoder, entry: &Entry) -> Option<MockComponent> {
    let mut fields = decoder.fields(&entry.value)?;
    let input_schema = fields.optional(decoder, "input_schema", schema);
    let output_schema = fields.optional(decoder, "output_schema", schema);
    let behaviors = fields
        .optional(decoder, "behaviors", |decoder, node| {
            decoder.each_member(node, |decoder, entry| {
                Some((input_of(decoder, entry)?, Behavior::decode(decoder, &entry.value)?))
            })
        })
        .unwrap_or_default();
    fields.close(decoder);
    let info = ComponentInfo { component: entry.key.clone(), description: None, input_schema, output_schema };
    Some(MockComponent { info, behaviors: behaviors.into_iter().map(|(_, behavior)| behavior).collect() })
}

fn schema(decoder: &mut Decoder, node: &Node) -> Option<Value> {
    let schema = decoder.value(node)?;
    if let Err(error) = Schema::compile(&schema) {
        decoder.report(Code::InvalidSchema, node.span, format!("the schema is not a JSON Schema: {error}"));
    }
    Some(schema)
}

/// The input that the key of a behavior stands for. A key that is JSON but not a valid value is an error, not a string.
fn input_of(decoder: &mut Decoder, entry: &Entry) -> Option<Value> {
    match Value::parse(entry.key.as_str()) {
        Ok(input) => Some(input),
        Err(ValueError::NotJson(_)) => Some(Value::string(&entry.key)),
        Err(problem) => {
            decoder.report(Code::InvalidSyntax, entry.key_span, format!("the input is refused: {problem}"));
            None
        }
    }
}

/// The host of a plugin of the type `mock`.
pub struct MockHost {
    components: Components,
    behaviors: HashMap<String, Behaviors>,
    answers: DelayedAnswers,
}

/// What a component answers, by the identity of the input.
struct Behaviors {
    known: Vec<Value>,
    answers: HashMap<String, Behavior>,
}

impl MockHost {
    /// A plugin with these components. To be called inside a tokio runtime.
    #[must_use]
    pub fn new(options: MockOptions, inbox: Arc<dyn Inbox>) -> Self {
        let infos = options.components.iter().map(|component| component.info.clone()).collect();
        let components = Components::new(INSTANCE, infos, options.validate_outputs);
        let behaviors = options.components.into_iter().map(|component| {
            let known = component.behaviors.iter().map(|(input, _)| input.clone()).collect();
            let answers =
                component.behaviors.into_iter().map(|(input, behavior)| (identity(&input), behavior)).collect();
            (component.info.component, Behaviors { known, answers })
        });
        Self { behaviors: behaviors.collect(), components, answers: DelayedAnswers::new(inbox) }
    }

    /// The mocked components, by path.
    #[must_use]
    pub fn components(&self) -> Vec<ComponentInfo> {
        self.components.infos().to_vec()
    }

    fn behavior(&self, path: &str, input: &Value) -> Result<&Behavior, FlowError> {
        let behaviors = self.behaviors.get(path);
        behaviors
            .and_then(|behaviors| behaviors.answers.get(&identity(input)))
            .ok_or_else(|| unmatched(path, input, behaviors.map(|behaviors| behaviors.known.as_slice())))
    }
}

impl ComponentHost for MockHost {
    fn resolve(&self, path: &str, input: &Value) -> Result<Target, FlowError> {
        self.components.check(INSTANCE, path, input)?;
        self.behavior(path, input)?;
        let route = Route { plugin: INSTANCE.to_owned(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        let path = &task.route.component;
        let behavior = match self.behavior(path, &task.input) {
            Ok(behavior) => behavior.clone().map(|output| self.components.answer(INSTANCE, path, output)),
            // The run was begun under another config.
            Err(error) => error.into(),
        };
        self.answers.give(task.address(), behavior);
    }

    fn cancel(&self, _route: &Route, task: Address, _reason: &str) {
        self.answers.cancel(task.task);
    }
}

fn unmatched(path: &str, input: &Value, known: Option<&[Value]>) -> FlowError {
    let known = known.unwrap_or_default();
    let inputs: Vec<&str> = known.iter().take(NAMED).map(Value::as_str).collect();
    let more = if known.len() > NAMED { format!(" and {} more", known.len() - NAMED) } else { String::new() };
    let knows = if inputs.is_empty() { "none".to_owned() } else { format!("{}{more}", inputs.join(", ")) };
    let message = format!("the mock `{path}` has no behavior for the input {input}; it has one for {knows}");
    FlowError::new(ErrorKind::InvalidInput, message)
        .with([("component", Value::string(path)), ("input", input.clone())])
}

/// A text that two values share exactly when they are the same JSON. The order of members does not matter.
fn identity(value: &Value) -> String {
    match value.kind() {
        Kind::Object => {
            let mut members = value.members();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            let members = members.iter().map(|(key, member)| format!("{}:{}", Value::string(key), identity(member)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Kind::Array => format!("[{}]", value.elements().iter().map(identity).collect::<Vec<_>>().join(",")),
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => value.canonical().to_string(),
    }
}
