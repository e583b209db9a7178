//! The engine over the in-memory store: runs from submit to end, as a client sees them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use stepflow_engine::event::{Control, Event, Instance, Outcome, Route, TaskRef, ValueRef};
use stepflow_engine::ports::{
    Address, Answer, Clock, ComponentHost, Inbox, Lost, Purity, SystemClock, Target, TaskEnvelope,
};
use stepflow_engine::{CancelError, Engine, Error, Notice, Options, Ports, Submission, inbox};
use stepflow_flow::{Backoff, Plan, Source, load};
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, FlowResult, RunId, Value};
use stepflow_store::MemoryStore;

/// Answers from a script. `/hold` is never answered until it is cancelled, and no worker accepts `/refused`.
struct Host {
    inbox: Arc<dyn Inbox>,
    offered: Mutex<Vec<TaskEnvelope>>,
    cancelled: Mutex<Vec<TaskRef>>,
    losses: Mutex<VecDeque<Lost>>,
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "test".into(), component: path.into() };
        match path {
            "/eval" => return Ok(Target::SubFlow(Control::Eval)),
            "/map" => return Ok(Target::SubFlow(Control::Map)),
            "/iterate" => return Ok(Target::SubFlow(Control::Iterate)),
            "/sleep" => return Ok(Target::Timer),
            _ => {}
        }
        Ok(Target::Component { route, purity: Purity::External })
    }

    fn offer(&self, task: TaskEnvelope) {
        self.offered.lock().unwrap().push(task.clone());
        self.inbox.started(task.address(), Some(&worker()));
        match task.route.component.as_str() {
            "/hold" => {}
            "/refused" => self.inbox.waits(task.address()),
            "/lossy" => match self.losses.lock().unwrap().pop_front() {
                Some(lost) => self.inbox.answer(task.address(), Answer::Lost(lost)),
                None => self.inbox.answer(task.address(), Answer::Success(u64::from(task.task.attempt).into())),
            },
            _ => self.inbox.answer(task.address(), Answer::Success(task.input)),
        }
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.cancelled.lock().unwrap().push(task.task);
        self.inbox.answer(task, Answer::Cancelled);
    }
}

fn worker() -> Arc<Instance> {
    Arc::new(Instance { name: "python/7".to_owned(), version: Some("1.4".to_owned()) })
}

/// Tells the time of tokio's clock, which these tests may pause.
struct TokioClock(SystemClock, jiff::Timestamp);

impl Clock for TokioClock {
    fn now(&self) -> jiff::Timestamp {
        self.1 + jiff::SignedDuration::try_from(self.0.elapsed()).unwrap()
    }

    fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }

    fn sleep_until(&self, elapsed: std::time::Duration) -> BoxFuture<'static, ()> {
        self.0.sleep_until(elapsed)
    }
}

struct Bench {
    engine: Engine,
    host: Arc<Host>,
    store: Arc<MemoryStore>,
}

fn bench() -> Bench {
    let (inbox, mailbox) = inbox(1);
    let host =
        Arc::new(Host { inbox, offered: Mutex::default(), cancelled: Mutex::default(), losses: Mutex::default() });
    let store = MemoryStore::new(stepflow_store::Options::default());
    let ports = Ports {
        journal: store.clone(),
        host: host.clone(),
        clock: Arc::new(TokioClock(SystemClock::default(), jiff::Timestamp::now())),
    };
    let options =
        Options { backoff: Backoff::Constant { delay: std::time::Duration::from_millis(1) }, ..Options::default() };
    Bench { engine: Engine::start(options, ports, mailbox), host, store }
}

fn submission(flow: &str, inputs: &[&str]) -> Submission {
    let loaded = load(Source::yaml("flow.yaml", flow));
    let plan = Arc::new(Plan::compile(loaded.flow.expect("a valid flow")).unwrap());
    let inputs = inputs.iter().map(|input| Value::parse(*input).unwrap()).collect();
    Submission { plan, inputs, variables: None, overrides: None, max_concurrency: None, idempotency_key: None }
}

impl Bench {
    async fn run(&self, submission: Submission) -> RunId {
        let run = self.engine.submit(submission).await.unwrap();
        self.ended(run).await;
        run
    }

    async fn ended(&self, run: RunId) -> ExecutionStatus {
        let mut news = self.engine.subscribe(run, 0);
        while let Some(notice) = news.next().await.unwrap() {
            if let Notice::Record(record) = &notice
                && let Event::RunEnded(ended) = &record.event
                && ended.run == run
            {
                return ended.status;
            }
        }
        panic!("the news ended before the run did");
    }

    fn results(&self, run: RunId) -> Vec<FlowResult> {
        self.store.items(run).into_iter().map(|item| item.result.unwrap()).collect()
    }
}

const ECHO: &str = "{name: echo, steps: [{id: a, component: /echo, input: {$input: $}}], output: {$step: a}}";

#[tokio::test]
async fn a_batch_gives_its_results_by_item() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &["1", "{\"b\":9007199254740993,\"a\":1.0}", "null"])).await;
    let texts: Vec<String> = bench.results(run).iter().map(|result| serde_json::to_string(result).unwrap()).collect();
    assert_eq!(
        texts,
        [
            r#"{"outcome":"success","result":1}"#,
            r#"{"outcome":"success","result":{"b":9007199254740993,"a":1.0}}"#,
            r#"{"outcome":"success","result":null}"#,
        ]
    );
}

#[tokio::test]
async fn a_run_without_items_is_completed_at_once() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &[])).await;
    assert_eq!(bench.store.run(run).unwrap().status, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a_lost_attempt_goes_out_again_under_the_same_task_id() {
    let bench = bench();
    let lost = |spends, back_off| Lost {
        error: FlowError::new(ErrorKind::Unreachable, "gone"),
        spends,
        back_off,
        suspects: 0,
    };
    bench.host.losses.lock().unwrap().extend([lost(true, false), lost(false, false), lost(true, true)]);
    let flow = "{name: l, steps: [{id: a, component: /lossy}], output: {$step: a}}";
    let run = bench.run(submission(flow, &["{}"])).await;
    assert_eq!(bench.results(run), [FlowResult::Success(4_u64.into())]);
    let offered = bench.host.offered.lock().unwrap();
    let attempts: Vec<u32> = offered.iter().map(|task| task.task.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    assert!(offered.iter().all(|task| task.task.task_id == offered[0].task.task_id));
}

#[tokio::test]
async fn the_next_attempt_of_a_suspect_says_how_many_shared_the_crash_and_the_one_after_it_does_not() {
    let bench = bench();
    let lost = |suspects| Lost {
        error: FlowError::new(ErrorKind::Unreachable, "gone"),
        spends: false,
        back_off: false,
        suspects,
    };
    bench.host.losses.lock().unwrap().extend([lost(12), lost(0)]);
    let flow = "{name: l, steps: [{id: a, component: /lossy}], output: {$step: a}}";
    bench.run(submission(flow, &["{}"])).await;
    let offered = bench.host.offered.lock().unwrap();
    assert_eq!(offered.iter().map(|task| task.suspects).collect::<Vec<_>>(), [0, 12, 0]);
}

#[tokio::test]
async fn the_journal_says_which_worker_had_an_attempt_and_its_version() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &["1"])).await;
    let journal = bench.store.journal(run).unwrap();
    let instances: Vec<_> = journal
        .iter()
        .filter_map(|record| match &record.event {
            Event::AttemptEnded(ended) => Some(ended.instance.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(instances, [Some(worker())]);
}

#[tokio::test]
async fn a_budget_that_is_spent_makes_the_loss_a_failure() {
    let bench = bench();
    let lost =
        Lost { error: FlowError::new(ErrorKind::Unreachable, "gone"), spends: true, back_off: false, suspects: 0 };
    bench.host.losses.lock().unwrap().extend(std::iter::repeat_n(lost, 10));
    let flow = "{name: l, steps: [{id: a, component: /lossy}], output: {$step: a}}";
    let run = bench.run(submission(flow, &["{}"])).await;
    let [FlowResult::Failed(error)] = &bench.results(run)[..] else { panic!("it succeeded") };
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Unreachable, "gone"));
    assert_eq!(bench.host.offered.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_timeout_counts_from_the_start_and_cancels_the_attempt() {
    let bench = bench();
    let flow = "{name: t, steps: [{id: a, component: /hold, timeout: 1ms}], output: {$step: a}}";
    let run = bench.run(submission(flow, &["{}"])).await;
    let [FlowResult::Failed(error)] = &bench.results(run)[..] else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert_eq!(bench.host.cancelled.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_no_worker_accepts_uses_up_no_time() {
    let bench = bench();
    let flow = "{name: t, steps: [{id: a, component: /refused, timeout: 1s}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["null"])).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let task = bench.host.offered.lock().unwrap()[0].address();
    bench.host.inbox.started(task, None);
    bench.host.inbox.answer(task, Answer::Success(Value::null()));
    assert_eq!(bench.ended(run).await, ExecutionStatus::Completed);
}

#[tokio::test]
async fn a_flow_with_a_timeout_fails_when_its_time_is_up() {
    let bench = bench();
    let flow = "{name: t, timeout: 1ms, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.run(submission(flow, &["{}"])).await;
    assert_eq!(bench.store.run(run).unwrap().status, ExecutionStatus::Failed);
}

#[tokio::test]
async fn a_cancelled_run_stays_cancelled() {
    let bench = bench();
    let flow = "{name: c, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}", "{}"])).await.unwrap();
    bench.engine.cancel(run, "a test", None).await.unwrap();
    assert_eq!(bench.ended(run).await, ExecutionStatus::Cancelled);
    assert_eq!(bench.store.run(run).unwrap().items.cancelled, 2);
    assert_eq!(bench.engine.cancel(run, "a test", None).await, Err(CancelError::NotRunning));
}

#[tokio::test]
async fn an_input_that_does_not_fit_creates_nothing() {
    let bench = bench();
    let flow = "{name: i, schemas: {type: object, properties: {input: {type: object, required: [q]}}}, output: 1}";
    let Err(Error::InvalidInput(misfits)) = bench.engine.submit(submission(flow, &["{\"q\":1}", "{}"])).await else {
        panic!("it was accepted");
    };
    assert_eq!(misfits.iter().map(|misfit| misfit.item).collect::<Vec<_>>(), [Some(1)]);
}

#[tokio::test]
async fn whoever_subscribes_later_sees_everything_once_and_in_order() {
    let bench = bench();
    let run = bench.run(submission(ECHO, &["1", "2"])).await;
    let mut news = bench.engine.subscribe(run, 2);
    let mut seqs = Vec::new();
    let mut outputs = 0;
    while let Some(Notice::Record(record)) = news.next().await.unwrap() {
        seqs.push(record.seq);
        if let Event::ItemEnded(ended) = &record.event {
            assert!(matches!(ended.result, Outcome::Success(ValueRef::Row(_))));
            outputs += 1;
        }
    }
    assert_eq!(seqs, (3..=seqs.last().copied().unwrap()).collect::<Vec<_>>());
    assert_eq!(outputs, 2);
}

#[tokio::test]
async fn whoever_subscribes_later_is_told_what_workers_have() {
    let bench = bench();
    let flow = "{name: h, steps: [{id: a, component: /hold}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}"])).await.unwrap();
    // An answer to a second run: then the host knows the start of the first one.
    bench.run(submission(ECHO, &["1"])).await;
    let mut news = bench.engine.subscribe(run, 2);
    assert!(matches!(news.next().await.unwrap(), Some(Notice::Started { instance, .. }) if instance == Some(worker())));
}

/// Runs a flow of one item without input; its result.
async fn result_of(bench: &Bench, flow: &str) -> FlowResult {
    let run = bench.run(submission(flow, &["{}"])).await;
    bench.results(run).remove(0)
}

fn success(text: &str) -> FlowResult {
    FlowResult::Success(Value::parse(text).unwrap())
}

#[tokio::test]
async fn map_runs_a_flow_for_each_item_even_when_one_attempt_at_a_time_is_allowed() {
    let bench = bench();
    let flow = "{name: m, steps: [{id: a, component: /map, input: {items: [1, 2], workflow: {$literal: \
        {name: s, steps: [{id: e, component: /echo, input: {$input: $}}], output: [{$step: e}]}}}}], output: {$step: a}}";
    let submission = Submission { max_concurrency: Some(1), ..submission(flow, &["{}"]) };
    let run = bench.run(submission).await;
    let expected = r#"{"results":[{"outcome":"success","result":[1]},{"outcome":"success","result":[2]}],"successful":2,"failed":0}"#;
    assert_eq!(bench.results(run), [success(expected)]);
}

#[tokio::test]
async fn map_collects_failures_or_fails_with_the_first() {
    let bench = bench();
    let flow = |choice: &str| {
        format!(
            "{{name: m, steps: [{{id: a, component: /map, input: {{items: [{{q: 1}}, {{}}], on_item_error: {choice}, \
             workflow: {{$literal: {{name: s, output: {{$input: $.q}}}}}}}}}}], output: {{$step: a, path: $.failed}}}}"
        )
    };
    assert_eq!(result_of(&bench, &flow("collect")).await, success("1"));
    let FlowResult::Failed(error) = result_of(&bench, &flow("fail")).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::ExpressionFailure);
}

#[tokio::test]
async fn iterate_goes_on_while_its_flow_says_so_and_no_longer_than_allowed() {
    let bench = bench();
    let flow = |most: u32, output: &str| {
        format!(
            "{{name: i, steps: [{{id: a, component: /iterate, input: {{initial_input: 7, max_iterations: {most}, \
             flow: {{$literal: {{name: s, output: {output}}}}}}}}}], output: {{$step: a}}}}"
        )
    };
    let done = result_of(&bench, &flow(5, "{result: {$input: $}}")).await;
    assert_eq!(done, success(r#"{"result":7,"iterations":1,"terminated":false}"#));
    let stopped = result_of(&bench, &flow(3, "{next: {$input: $}}")).await;
    assert_eq!(stopped, success(r#"{"result":7,"iterations":3,"terminated":true}"#));
    let none = result_of(&bench, &flow(0, "{next: 1}")).await;
    assert_eq!(none, success(r#"{"result":7,"iterations":0,"terminated":true}"#));
    let FlowResult::Failed(error) = result_of(&bench, &flow(3, "{neither: 1}")).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn eval_runs_a_stored_flow_and_says_so_when_there_is_none() {
    let bench = bench();
    let stored = submission("{name: s, output: {got: {$input: $}}}", &[]).plan;
    bench.store.put_flow(Arc::clone(&stored));
    let flow = |id: &str| {
        format!(
            "{{name: e, steps: [{{id: a, component: /eval, input: {{flow_id: \"{id}\", input: 3}}}}], output: {{$step: a, path: $.result}}}}"
        )
    };
    let result = result_of(&bench, &flow(&stored.flow_id.to_string())).await;
    assert_eq!(result, success(r#"{"outcome":"success","result":{"got":3}}"#));
    let FlowResult::Failed(error) = result_of(&bench, &flow(&"0".repeat(64))).await else { panic!("it succeeded") };
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_flow_that_calls_itself_for_ever_is_stopped() {
    let bench = bench();
    // The flow cannot contain its own id, so the input has it.
    let flow = "{name: r, steps: [{id: a, component: /eval, input: {flow_id: {$input: $.id}, input: {$input: $}}}], \
        output: {$step: a, path: $.result}}";
    let recursive = submission(flow, &[]);
    let input = Value::object([("id", Value::string(&recursive.plan.flow_id.to_string()))]);
    let run = bench.run(Submission { inputs: vec![input], ..recursive }).await;
    let text = serde_json::to_string(&bench.results(run)[0]).unwrap();
    assert!(text.contains("nested more than 64 deep"), "{text}");
}

#[tokio::test]
async fn a_sub_run_inherits_variables_and_ends_with_its_cancelled_root() {
    let bench = bench();
    let flow = "{name: v, steps: [{id: a, component: /map, input: {items: [0], workflow: {$literal: \
        {name: s, output: {$variable: x}}}}}], output: {$step: a, path: \"$.results[0].result\"}}";
    let variables = Some(Value::parse("{\"x\":\"there\"}").unwrap());
    let run = bench.run(Submission { variables, ..submission(flow, &["{}"]) }).await;
    assert_eq!(bench.results(run), [success("\"there\"")]);

    let flow = "{name: v, steps: [{id: a, component: /map, input: {items: [0], workflow: {$literal: \
        {name: s, steps: [{id: h, component: /hold}], output: {$step: h}}}}}], output: {$step: a}}";
    let run = bench.engine.submit(submission(flow, &["{}"])).await.unwrap();
    bench.engine.cancel(run, "a test", None).await.unwrap();
    assert_eq!(bench.ended(run).await, ExecutionStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn sleep_waits_and_returns_its_input() {
    let bench = bench();
    let flow = "{name: z, steps: [{id: a, component: /sleep, input: {duration_ms: 60000, passthrough: [1]}}], \
        output: {$step: a, path: $.passthrough}}";
    let begun = tokio::time::Instant::now();
    assert_eq!(result_of(&bench, flow).await, success("[1]"));
    assert!(begun.elapsed() >= std::time::Duration::from_secs(60));
}

#[tokio::test]
async fn a_step_that_runs_a_flow_for_too_long_fails_and_its_attempts_are_cancelled() {
    let bench = bench();
    let hold = "{steps: [{id: h, component: /hold}], output: {$step: h}}";
    let inside = format!(
        "{{steps: [{{id: m, component: /map, input: {{workflow: {{$literal: {hold}}}, items: [1, 2]}}}}], output: {{$step: m}}}}"
    );
    let flow = format!(
        "{{steps: [{{id: m, component: /map, timeout: 20ms, input: {{workflow: {{$literal: {inside}}}, items: [1]}}}}], output: {{$step: m}}}}"
    );
    let FlowResult::Failed(error) = result_of(&bench, &flow).await else { panic!("it cannot succeed") };
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert_eq!(error.data.unwrap().as_str(), r#"{"step":"m","component":"/map","attempt":1}"#);
    assert_eq!(bench.host.cancelled.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_step_that_runs_a_flow_is_tried_again_with_a_sub_run_of_its_own() {
    let bench = bench();
    let hold = "{steps: [{id: h, component: /hold}], output: {$step: h}}";
    let flow = format!(
        "{{steps: [{{id: m, component: /map, timeout: 20ms, onError: {{action: retry, maxRetries: 1, exhausted: {{action: useDefault, defaultValue: gone}}}}, input: {{workflow: {{$literal: {hold}}}, items: [1]}}}}], output: {{$step: m}}}}"
    );
    assert_eq!(result_of(&bench, &flow).await, success(r#""gone""#));
    let tasks = bench.host.offered.lock().unwrap();
    let runs: std::collections::HashSet<RunId> = tasks.iter().map(|task| task.run_id).collect();
    assert_eq!((tasks.len(), runs.len()), (2, 2));
}

#[tokio::test]
async fn overrides_change_their_own_run_and_not_the_flow_that_it_calls_by_its_id() {
    let bench = bench();
    let flow = "{steps: [{id: a, component: /eval, input: {flow_id: {$input: $.id}, input: {id: none}}, onError: {action: useDefault}}, {id: b, component: /echo, input: as written}], output: [{$step: b}, {$step: a, path: $.result.result}]}";
    let mut submission = submission(flow, &["null"]);
    submission.inputs = vec![Value::object([("id", Value::string(&submission.plan.flow_id.to_string()))])];
    let overrides = Value::parse(r#"{"steps":{"b":{"value":{"input":"changed"}}}}"#).unwrap();
    submission.plan = Arc::new(submission.plan.with_overrides(&overrides).unwrap());
    submission.overrides = Some(overrides);
    let run = bench.run(submission).await;
    assert_eq!(bench.results(run), [success(r#"["changed",["as written",null]]"#)]);
}
