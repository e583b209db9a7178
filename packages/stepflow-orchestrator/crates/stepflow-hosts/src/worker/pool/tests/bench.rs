//! A pool whose workers are channels, and an engine that records what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use stepflow_engine::event::{Instance, Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, Inbox, Lost, TaskEnvelope};
use stepflow_protocol::{
    ComponentCapabilities, ComponentInfo, ErrorKind, FlowError, RpcError, RunId, TaskId, Value, WorkerCapabilities,
    content_id, rpc_error_codes,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::components::Components;
use crate::worker::message::{Body, Handshake};
use crate::worker::options::RestartPolicy;
use crate::worker::pool::{InstanceId, Loss, Pool, Shared};
use crate::worker::wire::{Kind, Outgoing, Wire};

/// What the engine was told.
#[derive(Default)]
struct RecordingInbox {
    /// The attempts that are held back, with their numbers.
    held: Mutex<Vec<(TaskRef, u64)>>,
    /// The attempts that workers have now.
    started: Mutex<Vec<TaskRef>>,
    answers: Mutex<Vec<(TaskRef, Answer)>>,
}

impl Inbox for RecordingInbox {
    fn starting(&self, Address { task, .. }: Address, hold: u64) {
        self.held.lock().push((task, hold));
    }

    fn started(&self, Address { task, .. }: Address, _: Option<&Arc<Instance>>) {
        self.started.lock().push(task);
    }

    fn waits(&self, Address { task, .. }: Address) {
        self.started.lock().retain(|started| *started != task);
    }

    fn answer(&self, Address { task, .. }: Address, answer: Answer) {
        self.answers.lock().push((task, answer));
    }
}

/// A worker: what it was sent, and which executes it has not answered.
struct Worker {
    id: InstanceId,
    messages: mpsc::UnboundedReceiver<Outgoing>,
    open: Vec<(i64, TaskRef)>,
}

pub(super) struct Bench {
    shared: Shared,
    inbox: Arc<RecordingInbox>,
    workers: Vec<Worker>,
    slots: usize,
}

impl Bench {
    pub(super) fn new() -> Self {
        let inbox = Arc::<RecordingInbox>::default();
        Self { shared: Shared::new(Arc::clone(&inbox) as _), inbox, workers: Vec::new(), slots: 0 }
    }

    /// A worker that has shaken hands.
    pub(super) fn worker(&mut self, capacity: u32) -> InstanceId {
        self.worker_with(capacity, &[])
    }

    /// One that limits the executes of some components.
    pub(super) fn worker_with(&mut self, capacity: u32, bounds: &[(&str, u32)]) -> InstanceId {
        let limit = |most: &u32| ComponentCapabilities { max_concurrency: Some(*most) };
        let capabilities = WorkerCapabilities {
            max_concurrency: Some(capacity),
            cancel: Some(true),
            components: Some(bounds.iter().map(|(path, most)| ((*path).to_owned(), limit(most))).collect()),
            ..WorkerCapabilities::default()
        };
        let paths: Vec<&str> = bounds.iter().map(|(path, _)| *path).chain(["/echo"]).collect();
        self.add_instance(capabilities, &paths)
    }

    /// One that serves these paths.
    pub(super) fn worker_of(&mut self, paths: &[&str]) -> InstanceId {
        let capabilities = WorkerCapabilities { max_concurrency: Some(1), ..WorkerCapabilities::default() };
        self.add_instance(capabilities, paths)
    }

    /// The worker in this slot does not start.
    pub(super) fn fail_to_start(&self, slot: usize, of_all: bool) {
        let error = FlowError::new(ErrorKind::Unreachable, "it does not start");
        self.shared.with(|pool| pool.start_failed(slot, self.slots, error, of_all));
    }

    fn add_instance(&mut self, capabilities: WorkerCapabilities, paths: &[&str]) -> InstanceId {
        let (sender, messages) = mpsc::unbounded_channel();
        let wire = Wire::Messages(Some(sender));
        let id = self.shared.with(|pool| pool.add_instance("test".to_owned(), String::new(), wire).id);
        let info = |path: &str| ComponentInfo {
            component: path.to_owned(),
            description: None,
            input_schema: None,
            output_schema: None,
        };
        let components = Arc::new(Components::new("test", paths.iter().map(|path| info(path)).collect(), false));
        let slot = self.slots;
        self.slots += 1;
        self.shared.with(|pool| {
            let handshake = Handshake { capabilities: Some(capabilities), ..Handshake::default() };
            pool.instance_mut(id).unwrap().connection.initialized(handshake);
            pool.ready(id, slot, components, None);
        });
        self.workers.push(Worker { id, messages, open: Vec::new() });
        id
    }

    pub(super) fn offer(&mut self, task: TaskEnvelope) -> TaskRef {
        let offered = task.task;
        self.shared.with(|pool| pool.offer(task));
        offered
    }

    /// Offers a task that is one of this many suspects of a crash.
    pub(super) fn suspect(&mut self, suspects: u32) -> TaskRef {
        self.offer(TaskEnvelope { suspects, ..task("/echo") })
    }

    /// Offers a task of a sub-run of another task.
    pub(super) fn below(&mut self, above: TaskRef, suspects: u32) -> TaskRef {
        self.offer(TaskEnvelope { above: vec![above.task_id], suspects, ..task("/echo") })
    }

    /// A process crashes: one that has started, or one that has not.
    pub(super) fn crash(&mut self, id: Option<InstanceId>) {
        self.workers.retain(|worker| Some(worker.id) != id);
        let refusal = |_| FlowError::new(ErrorKind::Unreachable, "it crashes again and again");
        self.shared.with(|pool| pool.crashed(id, &crash(), &RestartPolicy::default(), refusal));
    }

    /// The open executes of the workers, in the order in which they got them.
    pub(super) fn all_open(&mut self) -> BTreeMap<InstanceId, Vec<TaskRef>> {
        for worker in &mut self.workers {
            while let Ok(message) = worker.messages.try_recv() {
                if let Kind::Execute(request, task) = message.kind {
                    worker.open.push((request, task.task));
                }
            }
        }
        self.workers.iter().map(|worker| (worker.id, worker.open.iter().map(|(_, task)| *task).collect())).collect()
    }

    pub(super) fn open(&mut self, id: InstanceId) -> Vec<TaskRef> {
        self.all_open().remove(&id).unwrap_or_default()
    }

    fn holder(&mut self, task: TaskRef) -> (InstanceId, i64) {
        self.all_open();
        let found = self.workers.iter().find_map(|worker| {
            let (request, _) = worker.open.iter().find(|(_, open)| *open == task)?;
            Some((worker.id, *request))
        });
        found.expect("no worker has the task")
    }

    pub(super) fn request(&mut self, task: TaskRef) -> i64 {
        self.holder(task).1
    }

    /// The worker that has the task. The task is taken from it.
    fn taken(&mut self, task: TaskRef) -> (InstanceId, i64) {
        let holder = self.holder(task);
        self.workers.iter_mut().for_each(|worker| worker.open.retain(|(_, open)| *open != task));
        holder
    }

    pub(super) fn succeed(&mut self, task: TaskRef) {
        let (id, request) = self.taken(task);
        self.answer_again(id, request);
    }

    pub(super) fn answer_again(&self, id: InstanceId, request: i64) {
        self.shared.with(|pool| _ = pool.take_answer(id, request, Body::Output(Value::null())));
    }

    pub(super) fn refuse(&mut self, task: TaskRef) {
        self.answer_with(task, rpc_error_codes::NOT_ACCEPTED);
    }

    /// The worker says that it has no room for the task.
    pub(super) fn refuse_for_room(&mut self, task: TaskRef) {
        assert!(self.answer_with(task, rpc_error_codes::AT_CAPACITY), "it is not tried again");
    }

    pub(super) fn answer_with(&mut self, task: TaskRef, code: i64) -> bool {
        let (id, request) = self.taken(task);
        let error = RpcError { code, message: "not now".to_owned(), data: None };
        self.shared.with(|pool| pool.take_answer(id, request, Body::Error(error)))
    }

    pub(super) fn retry(&self, id: InstanceId) {
        self.shared.with(|pool| pool.retry(id));
    }

    pub(super) fn unreach(&mut self, task: TaskRef) {
        let (id, request) = self.taken(task);
        self.shared.with(|pool| pool.unreached(id, request));
    }

    pub(super) fn lose_execute(&mut self, task: TaskRef, lost: Lost) {
        let (id, request) = self.taken(task);
        self.shared.with(|pool| pool.lose_execute(id, request, lost));
    }

    pub(super) fn remove_instance(&mut self, id: InstanceId, loss: &Loss) {
        self.workers.retain(|worker| worker.id != id);
        self.shared.with(|pool| _ = pool.remove_instance(id, loss));
    }

    /// Offers a task that the server before left open.
    pub(super) fn recover(&mut self) -> TaskRef {
        self.offer(TaskEnvelope { recovers: true, ..task("/echo") })
    }

    /// The attempts that are to be marked, since the last call.
    pub(super) fn held(&self) -> Vec<(TaskRef, u64)> {
        std::mem::take(&mut *self.inbox.held.lock())
    }

    pub(super) fn proceed(&self, (task, hold): (TaskRef, u64)) {
        self.shared.with(|pool| pool.proceed(task, hold));
    }

    pub(super) fn cancel(&self, task: TaskRef) {
        self.shared.with(|pool| pool.cancel(task, "enough"));
    }

    pub(super) fn park(&mut self, task: TaskRef) -> bool {
        let (id, _) = self.holder(task);
        self.shared.with(|pool| pool.park(id, task))
    }

    pub(super) fn unpark(&mut self, task: TaskRef) -> bool {
        let (id, _) = self.holder(task);
        self.shared.with(|pool| pool.unpark(id, task))
    }

    pub(super) fn shut_down(&self) {
        self.shared.with(Pool::shut_down);
    }

    /// The first answer that the engine got for an attempt.
    pub(super) fn answer(&self, task: TaskRef) -> Option<Answer> {
        self.inbox.answers.lock().iter().find(|(answered, _)| *answered == task).map(|(_, answer)| answer.clone())
    }

    /// How many answers the engine got for an attempt.
    pub(super) fn answers(&self, task: TaskRef) -> usize {
        self.inbox.answers.lock().iter().filter(|(answered, _)| *answered == task).count()
    }

    /// The answers since the last call.
    pub(super) fn new_answers(&self) -> Vec<(TaskRef, Answer)> {
        std::mem::take(&mut *self.inbox.answers.lock())
    }

    pub(super) fn was_started(&self, task: TaskRef) -> bool {
        self.inbox.started.lock().contains(&task)
    }
}

/// A first attempt, in a new run.
pub(super) fn task(component: &str) -> TaskEnvelope {
    let run = RunId::from_uuid(Uuid::now_v7());
    TaskEnvelope {
        task: TaskRef { task_id: TaskId::from_uuid(Uuid::now_v7()), attempt: 1 },
        root_run_id: run,
        run_id: run,
        above: Vec::new(),
        flow_id: content_id(b"flow"),
        item: 0,
        step: 0,
        step_id: "step".to_owned(),
        epoch: 1,
        route: Route { plugin: "test".to_owned(), component: component.to_owned() },
        input: Value::null(),
        timeout: None,
        deadline: None,
        traceparent: None,
        suspects: 0,
        recovers: false,
    }
}

pub(super) fn crash() -> Loss {
    Loss::Crash { error: FlowError::new(ErrorKind::Unreachable, "it crashed"), stderr: "last words".to_owned() }
}

pub(super) fn ordered() -> Loss {
    let error = FlowError::new(ErrorKind::Unreachable, "it was replaced");
    Loss::Ordered(Lost { error, spends: false, back_off: false, suspects: 0 })
}
