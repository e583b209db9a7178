//! Steps whose component is not known yet.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use stepflow_engine::event::{Event, Route};
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Purity, SystemClock, Target, TaskEnvelope};
use stepflow_engine::{Engine, Notice, Options, Ports, Submission, inbox};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{FlowError, FlowResult, RunId, Value};
use stepflow_store::MemoryStore;
use tokio::sync::watch;

/// Answers with the plugin to which a step was routed. `/late` has no plugin until that is decided.
struct Host {
    inbox: Arc<dyn Inbox>,
    plugin: watch::Sender<Option<&'static str>>,
}

impl ComponentHost for Host {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let plugin = if path == "/late" { *self.plugin.borrow() } else { Some("other") };
        let component = |plugin: &str| Target::Component {
            route: Route { plugin: plugin.into(), component: path.into() },
            purity: Purity::External,
        };
        Ok(plugin.map_or(Target::Undecided, component))
    }

    fn decided(&self, _: &str) -> BoxFuture<'static, ()> {
        let mut plugin = self.plugin.subscribe();
        async move { drop(plugin.wait_for(Option::is_some).await) }.boxed()
    }

    fn offer(&self, task: TaskEnvelope) {
        self.inbox.started(task.address(), None);
        self.inbox.answer(task.address(), Answer::Success(Value::string(&task.route.plugin)));
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.inbox.answer(task, Answer::Cancelled);
    }
}

const FLOW: &str = "{name: f, steps: [{id: a, component: /late}, {id: b, component: /there}], \
                    output: [{$step: a}, {$step: b}]}";

async fn until(engine: &Engine, run: RunId, what: impl Fn(&Event) -> bool) {
    let mut news = engine.subscribe(run, 0);
    while let Some(notice) = news.next().await.unwrap() {
        if matches!(&notice, Notice::Record(record) if what(&record.event)) {
            return;
        }
    }
    panic!("it did not happen");
}

fn engine(store: &Arc<MemoryStore>, plugin: Option<&'static str>) -> (Engine, Arc<Host>) {
    let (inbox, mailbox) = inbox(1);
    let host = Arc::new(Host { inbox, plugin: watch::Sender::new(plugin) });
    let ports = Ports { journal: store.clone(), host: host.clone(), clock: Arc::new(SystemClock::default()) };
    (Engine::start(Options::default(), ports, mailbox), host)
}

fn submission() -> Submission {
    let plan = Arc::new(Plan::compile(load(Source::yaml("flow.yaml", FLOW)).flow.unwrap()).unwrap());
    let inputs = vec![Value::null()];
    Submission { plan, inputs, variables: None, overrides: None, max_concurrency: None, idempotency_key: None }
}

#[tokio::test]
async fn a_step_waits_until_it_is_known_where_it_leads_and_the_others_go_on() {
    let store = MemoryStore::new(stepflow_store::Options::default());
    let (engine, host) = engine(&store, None);
    let run = engine.submit(submission()).await.unwrap();
    until(&engine, run, |event| matches!(event, Event::StepEnded(ended) if ended.step.step == 1)).await;
    host.plugin.send_replace(Some("decided"));
    until(&engine, run, |event| matches!(event, Event::RunEnded(_))).await;
    let results: Vec<FlowResult> = store.items(run).into_iter().map(|item| item.result.unwrap()).collect();
    assert_eq!(results, [FlowResult::Success(Value::parse(r#"["decided","other"]"#).unwrap())]);
    let journal = store.journal(run).unwrap();
    let attempts = journal.iter().filter(|record| matches!(record.event, Event::StepScheduled(_))).count();
    assert_eq!(attempts, 2);
}

#[tokio::test]
async fn the_next_engine_goes_on_with_a_step_of_which_it_was_not_known_where_it_leads() {
    let store = MemoryStore::new(stepflow_store::Options::default());
    let (first, _host) = engine(&store, None);
    let run = first.submit(submission()).await.unwrap();
    until(&first, run, |event| matches!(event, Event::StepEnded(ended) if ended.step.step == 1)).await;
    // It takes over, as after a crash: the first one tells nothing to the store.
    let (second, _host) = engine(&store, Some("decided"));
    let ended = until(&second, run, |event| matches!(event, Event::RunEnded(_)));
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the run does not go on");
}
