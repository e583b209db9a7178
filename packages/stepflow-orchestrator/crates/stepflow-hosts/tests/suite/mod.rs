//! What every component host has to do, whatever is behind it; and the two ports that hosts need, in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, Blob, Blobs, ComponentHost, Inbox, Instance, StoreError, Target, TaskEnvelope};
use stepflow_protocol::{BlobId, ErrorKind, FlowError, RunId, TaskId, Value, content_id};
use tokio::sync::mpsc;
use uuid::Uuid;

/// How long a test waits for something that has to come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A host to be tested, with two of its components.
pub struct Subject {
    pub host: Arc<dyn ComponentHost>,
    pub words: Words,
    /// Returns its input.
    pub echo: &'static str,
    /// Takes an object whose member `blob_id` is a string.
    pub typed: &'static str,
}

/// A word of a host.
#[derive(Debug, Clone, PartialEq)]
pub enum Word {
    Started(TaskRef, Option<Arc<Instance>>),
    Waits(TaskRef),
    Answer(TaskRef, Answer),
}

/// The words of a host, in their order.
pub struct Words(mpsc::UnboundedReceiver<Word>);

struct Ear(mpsc::UnboundedSender<Word>);

impl Inbox for Ear {
    fn started(&self, task: TaskRef, instance: Option<&Arc<Instance>>) {
        let _ = self.0.send(Word::Started(task, instance.cloned()));
    }

    fn waits(&self, task: TaskRef) {
        let _ = self.0.send(Word::Waits(task));
    }

    fn answer(&self, task: TaskRef, answer: Answer) {
        let _ = self.0.send(Word::Answer(task, answer));
    }
}

/// An inbox and what it hears.
pub fn inbox() -> (Arc<dyn Inbox>, Words) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(Ear(sender)), Words(receiver))
}

impl Words {
    /// The next word.
    pub async fn next(&mut self) -> Word {
        tokio::time::timeout(PATIENCE, self.0.recv()).await.expect("the host says nothing").expect("the host is gone")
    }

    /// The next answer; words about starting are passed over.
    pub async fn answer(&mut self) -> (TaskRef, Answer) {
        loop {
            if let Word::Answer(task, answer) = self.next().await {
                return (task, answer);
            }
        }
    }

    /// The next answer, which has to be a success.
    pub async fn output(&mut self) -> Value {
        match self.answer().await.1 {
            Answer::Success(value) => value,
            other => panic!("not a success: {other:?}"),
        }
    }

    /// The next answer, which has to be a failure.
    pub async fn failure(&mut self) -> FlowError {
        match self.answer().await.1 {
            Answer::Failed(failure) => failure.error,
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// Whether nothing was said that has not been heard.
    pub fn is_silent(&mut self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// Blobs in memory.
#[derive(Default)]
pub struct MemoryBlobs(Mutex<HashMap<BlobId, Blob>>);

impl Blobs for MemoryBlobs {
    fn put(&self, blob: Blob) -> BoxFuture<'static, Result<BlobId, StoreError>> {
        let id = content_id(blob.data.as_bytes());
        self.0.lock().insert(id, blob);
        ready(Ok(id)).boxed()
    }

    fn get(&self, id: BlobId) -> BoxFuture<'static, Result<Blob, StoreError>> {
        let found = self.0.lock().get(&id).cloned();
        ready(found.ok_or_else(|| StoreError::NotFound { what: "blob", id: id.to_string() })).boxed()
    }
}

pub fn json(text: &str) -> Value {
    Value::parse(text).unwrap()
}

/// A first attempt at a component, in a run of its own.
pub fn task(component: &str, input: Value) -> TaskEnvelope {
    let run = RunId::from_uuid(Uuid::now_v7());
    TaskEnvelope {
        task: TaskRef { task_id: TaskId::from_uuid(Uuid::now_v7()), attempt: 1 },
        root_run_id: run,
        run_id: run,
        above: Vec::new(),
        flow_id: content_id(b"flow"),
        item: 0,
        step: 0,
        step_id: "a \"step\"".to_owned(),
        epoch: 1,
        route: Route { plugin: "python".to_owned(), component: component.to_owned() },
        input,
        timeout: None,
        deadline: None,
        traceparent: None,
        suspects: 0,
    }
}

/// Everything that holds for every host.
pub async fn check(mut subject: Subject) {
    an_offer_is_started_and_then_answered(&mut subject).await;
    every_offer_is_answered_exactly_once(&mut subject).await;
    a_cancelled_task_is_still_answered_once(&mut subject).await;
    values_pass_unchanged(&mut subject).await;
    a_misspelled_component_is_not_found(&subject);
    an_input_that_does_not_fit_is_refused_before_it_is_offered(&subject);
    a_component_is_resolved_to_its_path(&subject);
}

async fn an_offer_is_started_and_then_answered(subject: &mut Subject) {
    let task = task(subject.echo, json(r#"{"n":1}"#));
    subject.host.offer(task.clone());
    assert!(matches!(subject.words.next().await, Word::Started(started, _) if started == task.task));
    assert_eq!(subject.words.next().await, Word::Answer(task.task, Answer::Success(task.input)));
}

async fn every_offer_is_answered_exactly_once(subject: &mut Subject) {
    let tasks: Vec<TaskEnvelope> = (0..300).map(|n| task(subject.echo, Value::from(n as i64))).collect();
    let mut owed: HashMap<TaskRef, Value> = tasks.iter().map(|task| (task.task, task.input.clone())).collect();
    for task in tasks {
        subject.host.offer(task);
    }
    let mut started = HashMap::new();
    while !owed.is_empty() {
        match subject.words.next().await {
            Word::Started(task, instance) => assert!(started.insert(task, instance).is_none(), "started twice"),
            Word::Waits(task) => assert!(started.remove(&task).is_some(), "it had not been started"),
            Word::Answer(task, answer) => {
                assert!(started.contains_key(&task), "answered before it was started");
                assert_eq!(Some(answer), owed.remove(&task).map(Answer::Success));
            }
        }
    }
    assert!(subject.words.is_silent());
}

async fn a_cancelled_task_is_still_answered_once(subject: &mut Subject) {
    let task = task(subject.echo, Value::null());
    subject.host.offer(task.clone());
    subject.host.cancel(&task.route, task.task, "the run was cancelled");
    let (answered, answer) = subject.words.answer().await;
    assert_eq!(answered, task.task);
    assert!(matches!(answer, Answer::Success(_) | Answer::Cancelled), "{answer:?}");
    assert!(subject.words.is_silent());
}

async fn values_pass_unchanged(subject: &mut Subject) {
    let exact = json(r#"{"z":12345678901234567890,"a":1.0,"s":"é\u0000\u2028 \"","e":[],"n":null}"#);
    subject.host.offer(task(subject.echo, exact.clone()));
    let back = subject.words.output().await;
    assert_eq!(back.members().iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["z", "a", "s", "e", "n"]);
    assert_eq!(back.field("z"), exact.field("z"));
    assert_eq!(back.field("s").and_then(|s| s.text()), exact.field("s").and_then(|s| s.text()));
}

fn a_misspelled_component_is_not_found(subject: &Subject) {
    let path = format!("{}x", subject.echo);
    let error = subject.host.resolve(&path, &Value::null()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ComponentNotFound);
    assert!(error.message.contains(&format!("did you mean `{}`?", subject.echo)), "{}", error.message);
}

fn an_input_that_does_not_fit_is_refused_before_it_is_offered(subject: &Subject) {
    let error = subject.host.resolve(subject.typed, &json(r#"{"blob_id":3}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    let data = error.data.unwrap();
    let told = |name| data.field(name).and_then(|value| value.text());
    assert_eq!(
        (told("path"), told("expected"), told("found")),
        (Some("/blob_id".to_owned()), Some("string".to_owned()), Some("number".to_owned()),)
    );
}

fn a_component_is_resolved_to_its_path(subject: &Subject) {
    let Ok(Target::Component { route, .. }) = subject.host.resolve(subject.echo, &Value::null()) else {
        panic!("not a component")
    };
    assert_eq!(route.component, subject.echo);
}
