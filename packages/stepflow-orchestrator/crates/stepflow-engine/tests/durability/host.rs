//! A host whose components answer when the story wants it. For each message of the engine it looks into the store: the
//! engine must not use events that are not durable.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};

use stepflow_engine::event::{Control, Event, Instance, Reason, Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Lost, Purity, Target, TaskEnvelope};
use stepflow_engine::{Engine, Error, Origin, Parent, Submission};
use stepflow_protocol::{ErrorKind, FlowError, FlowResult, RunId, Value};

use super::calls;
use super::store::Store;

pub struct Host {
    pub inbox: Arc<dyn Inbox>,
    pub engine: OnceLock<Engine>,
    /// Whether the engine was told to stop. Then those who wait for runs get no answer.
    pub stopping: AtomicBool,
    /// How often the engine is to panic when it looks for `/t/bomb`, or offers to `/t/dud` or cancels it.
    pub bombs: AtomicU32,
    /// Whether the worker of `/t/wrap` is not up.
    pub away: AtomicBool,
    me: Weak<Self>,
    /// How often an attempt was held back until it is marked.
    holds: AtomicU64,
    store: Arc<Store>,
    jobs: Mutex<BTreeMap<TaskRef, Job>>,
    /// How often each attempt was offered.
    pub offers: Mutex<HashMap<TaskRef, u32>>,
}

/// An attempt that the host has.
#[derive(Clone)]
pub struct Job {
    pub task: TaskEnvelope,
    /// Its worker waits until it is marked; the number of that.
    pub hold: Option<u64>,
    pub started: bool,
    pub cancelled: bool,
    /// Whether it waits for a run that it asked for.
    pub calls: bool,
    /// The answer, if the story has chosen one.
    pub answer: Option<Answer>,
}

impl Host {
    pub fn new(inbox: Arc<dyn Inbox>, store: Arc<Store>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            holds: AtomicU64::new(0),
            inbox,
            engine: OnceLock::new(),
            stopping: AtomicBool::new(false),
            bombs: AtomicU32::new(0),
            away: AtomicBool::new(false),
            store,
            jobs: Mutex::default(),
            offers: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskRef, Job>> {
        self.jobs.lock().unwrap()
    }

    pub fn jobs(&self) -> Vec<Job> {
        self.lock().values().cloned().collect()
    }

    /// The jobs that can be answered.
    pub fn answerable(&self) -> Vec<TaskRef> {
        let jobs = self.lock();
        let can = jobs.values().filter(|job| job.answer.is_some() || job.cancelled);
        can.map(|job| job.task.task).collect()
    }

    pub fn unstarted(&self) -> Vec<TaskRef> {
        self.lock().values().filter(|job| !job.started && job.hold.is_none()).map(|job| job.task.task).collect()
    }

    /// A worker takes the job, or is to take it when it is marked.
    pub fn start(&self, task: TaskRef) {
        let mut jobs = self.lock();
        let Some(job) = jobs.get_mut(&task).filter(|job| !job.started && job.hold.is_none()) else { return };
        if job.task.recovers && !self.is_pure(&job.task.route) {
            let hold = self.holds.fetch_add(1, Ordering::Relaxed);
            job.hold = Some(hold);
            self.inbox.starting(job.task.address(), hold);
        } else {
            self.begin(job);
        }
    }

    /// The job loses its worker before it is marked.
    pub fn wait_again(&self, task: TaskRef) {
        let mut jobs = self.lock();
        let job = jobs.get_mut(&task).expect("it is offered");
        assert!(job.hold.take().is_some(), "it was not held back");
        self.inbox.waits(job.task.address());
    }

    /// A worker has the job. One that runs a flow asks for it.
    fn begin(&self, job: &mut Job) {
        job.started = true;
        let worker = Arc::new(Instance { name: "worker/1".to_owned(), version: None });
        let worker = (!self.is_pure(&job.task.route)).then_some(&worker);
        self.inbox.started(job.task.address(), worker);
        if let Some(flow) = calls::called(&job.task.route.component) {
            job.calls = true;
            let host = self.me.upgrade().expect("the host is there");
            tokio::spawn(host.call(job.task.clone(), flow));
        } else {
            job.answer = behaviour(&job.task.route.component, &job.task.input, job.task.task.attempt);
        }
    }

    /// The job ends with its answer, or with this one.
    pub fn answer(&self, task: TaskRef, instead: Option<Answer>) {
        let Some(job) = self.lock().remove(&task) else { return };
        let own = if job.cancelled { Some(job.answer.unwrap_or(Answer::Cancelled)) } else { job.answer };
        self.inbox.answer(job.task.address(), instead.or(own).expect("the job has an answer"));
    }

    async fn call(self: Arc<Self>, task: TaskEnvelope, flow: serde_json::Value) {
        let origin = Origin { parent: Parent::Attempt(task.address()), key: None, detached: false };
        let submission = Submission {
            plan: calls::plan(&flow),
            inputs: vec![task.input.clone()],
            variables: None,
            overrides: None,
            max_concurrency: None,
            idempotency_key: None,
        };
        let engine = self.engine.get().expect("the engine was started").clone();
        let answer = match engine.submit_from(origin, submission).await {
            Ok(run) => self.called(&engine, &task, run).await,
            Err(Error::NotOpen) => Answer::Cancelled,
            Err(Error::Stopped) => return,
            Err(error) => panic!("{error}"),
        };
        if let Some(job) = self.lock().get_mut(&task.task) {
            job.calls = false;
            job.answer = Some(answer);
        }
    }

    async fn called(&self, engine: &Engine, task: &TaskEnvelope, run: RunId) -> Answer {
        if self.store.durable.run(run).is_none() {
            self.store.complain(format!("the run {run} was answered before it was durable"));
        }
        engine.ended(run, Some(task.address())).await;
        let items = self.store.durable.items(run);
        match items.into_iter().next().and_then(|item| item.result) {
            Some(FlowResult::Success(_)) if task.route.component == "/calls_twice" && task.task.attempt == 1 => {
                Answer::Failed(FlowError::new(ErrorKind::ComponentFailed, "not yet").into())
            }
            Some(FlowResult::Success(value)) => Answer::Success(Value::object([("got", value)])),
            Some(FlowResult::Failed(error)) => Answer::Failed(error.into()),
            None if self.stopping.load(Ordering::Relaxed) => Answer::Cancelled,
            None => {
                self.store.complain(format!("the end of run {run} was told before it was durable"));
                Answer::Cancelled
            }
        }
    }

    fn may_panic(&self, component: &str) {
        if ["/t/bomb", "/dud"].contains(&component) && self.bombs.load(Ordering::Relaxed) > 0 {
            self.bombs.fetch_sub(1, Ordering::Relaxed);
            panic!("the bomb goes off");
        }
    }

    fn is_pure(&self, route: &Route) -> bool {
        self.store.lock().ahead && ["/echo", "/null", "/twice"].contains(&route.component.as_str())
    }

    /// What is wrong with this offer.
    fn wrong(&self, task: &TaskEnvelope) -> Option<&'static str> {
        let journal = self.store.journal(task.root_run_id);
        let mut scheduled = None;
        for record in &journal {
            match &record.event {
                Event::StepScheduled(event) if event.task == task.task => scheduled = Some(event),
                Event::AttemptEnded(ended) if ended.task == task.task => return Some("the attempt has ended"),
                Event::StepEnded(ended) if scheduled.is_some_and(|event| event.step == ended.step) => {
                    return Some("the step has ended");
                }
                _ => {}
            }
        }
        let Some(scheduled) = scheduled else { return (!self.is_pure(&task.route)).then_some("it is not durable") };
        let recovers = scheduled.reason == Reason::Recovery;
        (recovers != task.recovers).then_some("it does not say why")
    }
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        self.may_panic(path);
        match path {
            "/t/wrap" if self.away.load(Ordering::Relaxed) => {
                return Err(FlowError::new(ErrorKind::Unreachable, "its worker is not up"));
            }
            "/t/nowhere" => return Err(FlowError::new(ErrorKind::ComponentNotFound, "nothing serves it")),
            "/t/map" => return Ok(Target::SubFlow(Control::Map)),
            "/t/iterate" => return Ok(Target::SubFlow(Control::Iterate)),
            "/t/eval" => return Ok(Target::SubFlow(Control::Eval)),
            "/t/sleep" => return Ok(Target::Timer),
            _ => {}
        }
        let route = Route { plugin: "t".into(), component: path.strip_prefix("/t").unwrap_or_default().into() };
        let purity = self.purity(&route);
        Ok(Target::Component { route, purity })
    }

    fn purity(&self, route: &Route) -> Purity {
        if self.is_pure(route) { Purity::Pure } else { Purity::External }
    }

    fn offer(&self, task: TaskEnvelope) {
        self.may_panic(&task.route.component);
        if let Some(why) = self.wrong(&task) {
            self.store.complain(format!("{:?} was offered, but {why}", task.task));
        }
        let offers = *self.offers.lock().unwrap().entry(task.task).and_modify(|count| *count += 1).or_insert(1);
        // What scheduled a step that changes nothing may have been refused: then the step is scheduled and run again.
        if offers > 1 && !self.is_pure(&task.route) {
            self.store.complain(format!("{:?} was offered {offers} times", task.task));
        }
        let job = Job { hold: None, started: false, cancelled: false, calls: false, answer: None, task };
        self.lock().insert(job.task.task, job);
    }

    fn proceed(&self, _: &Route, address: Address, hold: u64) {
        if let Some(job) = self.lock().get_mut(&address.task).filter(|job| job.hold == Some(hold)) {
            if !self.store.marked(address.root).contains(&address.task) {
                self.store.complain(format!("{:?} may begin, but it has no mark", address.task));
            }
            job.hold = None;
            self.begin(job);
        }
    }

    fn cancel(&self, route: &Route, address: Address, _: &str) {
        self.may_panic(&route.component);
        let is_reason = |event: &Event| match event {
            // After that, an owner that was replaced may drop its own attempts.
            Event::StepEnded(_) | Event::OwnerChanged(_) => true,
            Event::AttemptEnded(ended) => ended.task == address.task,
            _ => false,
        };
        // One that ran ahead may be lost with its event.
        if !self.is_pure(route) && !self.store.journal(address.root).iter().any(|record| is_reason(&record.event)) {
            self.store.complain(format!("{:?} was cancelled, but its step is open", address.task));
        }
        if let Some(job) = self.lock().get_mut(&address.task)
            && std::mem::replace(&mut job.cancelled, true)
        {
            self.store.complain(format!("{:?} was cancelled twice", address.task));
        }
    }
}

pub fn lost(spends: bool) -> Answer {
    let error = FlowError::new(ErrorKind::Unreachable, "gone");
    Answer::Lost(Lost { error, spends, back_off: false, suspects: 0 })
}

/// How the component of this name behaves; `None` for one that never ends.
fn behaviour(component: &str, input: &Value, attempt: u32) -> Option<Answer> {
    let failed = |message: String| Answer::Failed(FlowError::new(ErrorKind::ComponentFailed, message).into());
    Some(match component {
        "/echo" => Answer::Success(input.clone()),
        "/stuck" => return None,
        "/null" => Answer::Success(Value::null()),
        "/fail" => failed(format!("boom {}", input.to_json().unwrap())),
        "/twice" if attempt == 1 => failed("not yet".into()),
        "/lost" if attempt == 1 => lost(true),
        _ => Answer::Success(Value::object([("got", input.clone())])),
    })
}
