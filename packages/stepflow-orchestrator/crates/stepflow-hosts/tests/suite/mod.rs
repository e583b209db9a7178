//! What every component host has to do, no matter how it serves components. There are also in-memory versions of two
//! ports that hosts need.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use stepflow_engine::event::{Instance, Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, Blob, Blobs, ComponentHost, Inbox, StoreError, Target, TaskEnvelope};
use stepflow_protocol::{BlobId, ErrorKind, FlowError, RunId, TaskId, Value, content_id};
use tokio::sync::mpsc;
use uuid::Uuid;

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The result of something that must happen in time; the test fails with `otherwise` when it does not.
pub async fn in_time<T>(otherwise: &str, act: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, act).await.expect(otherwise)
}

/// Waits until the condition holds; the test fails with `otherwise` when that takes too long.
pub async fn until(otherwise: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time(otherwise, holds).await;
}

/// A host to be tested, with two of its components.
pub struct Subject {
    pub host: Arc<dyn ComponentHost>,
    pub events: InboxEvents,
    /// Returns its input.
    pub echo: &'static str,
    /// Takes an object whose member `blob_id` is a string.
    pub typed: &'static str,
}

/// Something that a host tells its inbox.
#[derive(Debug, Clone, PartialEq)]
pub enum InboxEvent {
    Started(TaskRef, Option<Arc<Instance>>),
    Waits(TaskRef),
    Answer(TaskRef, Answer),
}

/// What a host tells its inbox, in order.
pub struct InboxEvents(mpsc::UnboundedReceiver<InboxEvent>);

struct RecordingInbox(mpsc::UnboundedSender<InboxEvent>);

impl Inbox for RecordingInbox {
    fn starting(&self, _: Address, _: u64) {}

    fn started(&self, Address { task, .. }: Address, instance: Option<&Arc<Instance>>) {
        let _ = self.0.send(InboxEvent::Started(task, instance.cloned()));
    }

    fn waits(&self, Address { task, .. }: Address) {
        let _ = self.0.send(InboxEvent::Waits(task));
    }

    fn answer(&self, Address { task, .. }: Address, answer: Answer) {
        let _ = self.0.send(InboxEvent::Answer(task, answer));
    }
}

/// An inbox, and what it is told.
pub fn inbox() -> (Arc<dyn Inbox>, InboxEvents) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(RecordingInbox(sender)), InboxEvents(receiver))
}

impl InboxEvents {
    /// The next thing that the host tells.
    pub async fn next(&mut self) -> InboxEvent {
        tokio::time::timeout(PATIENCE, self.0.recv()).await.expect("the host says nothing").expect("the host is gone")
    }

    /// The next answer; everything else is skipped.
    pub async fn answer(&mut self) -> (TaskRef, Answer) {
        loop {
            if let InboxEvent::Answer(task, answer) = self.next().await {
                return (task, answer);
            }
        }
    }

    /// The next answer, which must be a success.
    pub async fn output(&mut self) -> Value {
        match self.answer().await.1 {
            Answer::Success(value) => value,
            other => panic!("not a success: {other:?}"),
        }
    }

    /// The next answer, which must be a failure.
    pub async fn failure(&mut self) -> FlowError {
        match self.answer().await.1 {
            Answer::Failed(failure) => failure.error,
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// Whether the host has told nothing more so far.
    pub fn is_silent(&self) -> bool {
        self.0.is_empty()
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

/// A first attempt of a component, in a new run.
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
        recovers: false,
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
    assert!(matches!(subject.events.next().await, InboxEvent::Started(started, _) if started == task.task));
    assert_eq!(subject.events.next().await, InboxEvent::Answer(task.task, Answer::Success(task.input)));
}

async fn every_offer_is_answered_exactly_once(subject: &mut Subject) {
    let tasks: Vec<TaskEnvelope> = (0..300).map(|n| task(subject.echo, Value::from(n as i64))).collect();
    let mut owed: HashMap<TaskRef, Value> = tasks.iter().map(|task| (task.task, task.input.clone())).collect();
    for task in tasks {
        subject.host.offer(task);
    }
    let mut started = HashMap::new();
    while !owed.is_empty() {
        match subject.events.next().await {
            InboxEvent::Started(task, instance) => assert!(started.insert(task, instance).is_none(), "started twice"),
            InboxEvent::Waits(task) => assert!(started.remove(&task).is_some(), "it had not been started"),
            InboxEvent::Answer(task, answer) => {
                assert!(started.contains_key(&task), "answered before it was started");
                assert_eq!(Some(answer), owed.remove(&task).map(Answer::Success));
            }
        }
    }
    assert!(subject.events.is_silent());
}

async fn a_cancelled_task_is_still_answered_once(subject: &mut Subject) {
    let task = task(subject.echo, Value::null());
    subject.host.offer(task.clone());
    subject.host.cancel(&task.route, task.address(), "the run was cancelled");
    let (answered, answer) = subject.events.answer().await;
    assert_eq!(answered, task.task);
    assert!(matches!(answer, Answer::Success(_) | Answer::Cancelled), "{answer:?}");
    assert!(subject.events.is_silent());
}

async fn values_pass_unchanged(subject: &mut Subject) {
    let exact = json(r#"{"z":12345678901234567890,"a":1.0,"s":"é\u0000\u2028 \"","e":[],"n":null}"#);
    subject.host.offer(task(subject.echo, exact.clone()));
    let back = subject.events.output().await;
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
