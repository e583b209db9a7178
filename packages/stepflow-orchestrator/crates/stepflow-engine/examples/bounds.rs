//! Measures the engine's bounds over the in-memory store: `cargo run --release --example bounds -p stepflow-engine`.
//!
//! A batch of 100 000 items, 10 000 runs that sleep, a flow that iterates for long beside others, and folding. Prints a
//! line for each; `-- batch sleep park fair fold` chooses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use stepflow_engine::event::{Control, Route};
use stepflow_engine::machine::Machine;
use stepflow_engine::ports::{Address, Answer, ComponentHost, Inbox, Purity, SystemClock, Target, TaskEnvelope};
use stepflow_engine::{Engine, Options, Ports, Submission, inbox};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{FlowError, RunId, Value};
use stepflow_store::MemoryStore;

/// Answers each task with its input, from another task of the runtime.
struct Echo {
    inbox: Arc<dyn Inbox>,
    runtime: tokio::runtime::Handle,
}

impl ComponentHost for Echo {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "bench".into(), component: path.into() };
        Ok(match path {
            "/map" => Target::SubFlow(Control::Map),
            "/iterate" => Target::SubFlow(Control::Iterate),
            "/sleep" => Target::Timer,
            _ => Target::Component { route, purity: Purity::External },
        })
    }

    fn offer(&self, task: TaskEnvelope) {
        let inbox = Arc::clone(&self.inbox);
        self.runtime.spawn(async move {
            inbox.started(task.address(), None);
            inbox.answer(task.address(), Answer::Success(task.input));
        });
    }

    fn cancel(&self, _: &Route, task: Address, _: &str) {
        self.inbox.answer(task, Answer::Cancelled);
    }
}

struct Bench {
    engine: Engine,
    store: Arc<MemoryStore>,
}

fn bench(options: Options) -> Bench {
    let (inbox, mailbox) = inbox(2);
    let host = Arc::new(Echo { inbox, runtime: tokio::runtime::Handle::current() });
    let store = MemoryStore::new(stepflow_store::Options::default());
    let ports = Ports { journal: store.clone(), host, clock: Arc::new(SystemClock::default()) };
    Bench { engine: Engine::start(options, ports, mailbox), store }
}

fn plan(flow: &str) -> Arc<Plan> {
    Arc::new(Plan::compile(load(Source::yaml("flow.yaml", flow)).flow.expect("a valid flow")).unwrap())
}

fn submission(plan: &Arc<Plan>, inputs: Vec<Value>) -> Submission {
    Submission {
        plan: Arc::clone(plan),
        inputs,
        variables: None,
        overrides: None,
        max_concurrency: None,
        idempotency_key: None,
    }
}

/// The memory of this process, in MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

async fn batch() {
    let plan = plan("{name: b, steps: [{id: a, component: /echo, input: {$input: $}}], output: {$step: a}}");
    for items in [10_000_u64, 100_000] {
        let bench = bench(Options::default());
        let inputs = (0..items).map(|item| Value::string(&format!("{item:01024}"))).collect();
        let (before, began) = (resident(), Instant::now());
        let run = bench.engine.submit(submission(&plan, inputs)).await.unwrap();
        bench.engine.ended(run, None).await;
        let took = began.elapsed();
        let events = bench.store.journal(run).unwrap().len();
        println!("batch of {items} items of 1 KiB: {took:?}, growth {:.0} MiB, {events} events", resident() - before);
    }
}

async fn sleep() {
    let runs = 10_000;
    let plan = plan("{name: s, steps: [{id: a, component: /sleep, input: {duration_ms: 20000}}], output: {$step: a}}");
    let bench = bench(Options { idle_bytes: 0, park_after: Duration::from_millis(100), ..Options::default() });
    let before = resident();
    let mut ids: Vec<(RunId, Instant)> = Vec::new();
    for _ in 0..runs {
        ids.push((bench.engine.submit(submission(&plan, vec![Value::null()])).await.unwrap(), Instant::now()));
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let each = (resident() - before) * 1024.0 / f64::from(runs);
    let mut late = Duration::ZERO;
    for (run, began) in ids {
        bench.engine.ended(run, None).await;
        late = late.max(began.elapsed().saturating_sub(Duration::from_secs(20)));
    }
    println!("{runs} runs in `sleep`: {each:.2} KiB each with the store, the last woken {late:?} late");
}

/// Runs that sleep and stay in memory: what each takes, the same journal in the store aside.
async fn park() {
    let runs = 10_000;
    let plan = plan("{name: s, steps: [{id: a, component: /sleep, input: {duration_ms: 600000}}], output: {$step: a}}");
    let mut used = Vec::new();
    for idle_bytes in [0, usize::MAX] {
        let bench = bench(Options { idle_bytes, park_after: Duration::from_millis(100), ..Options::default() });
        let before = resident();
        for _ in 0..runs {
            bench.engine.submit(submission(&plan, vec![Value::null()])).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        used.push((resident() - before) * 1024.0 / f64::from(runs));
        std::mem::forget(bench);
    }
    println!(
        "{runs} runs in `sleep`: {:.2} KiB each in the store, {:.2} KiB each in memory",
        used[0],
        used[1] - used[0]
    );
}

async fn fair() {
    let iterate = plan(
        "{name: i, steps: [{id: a, component: /iterate, input: {initial_input: 1, max_iterations: 1000000, \
         flow: {$literal: {name: n, output: {next: 1}}}}}], output: {$step: a, path: $.iterations}}",
    );
    let echo = plan("{name: e, steps: [{id: a, component: /echo}], output: {$step: a}}");
    let bench = bench(Options::default());
    let began = Instant::now();
    let long = bench.engine.submit(submission(&iterate, vec![Value::null()])).await.unwrap();
    let ended = tokio::spawn({
        let engine = bench.engine.clone();
        async move { engine.ended(long, None).await }
    });
    let mut times = Vec::new();
    while !ended.is_finished() && times.len() < 20_000 {
        let began = Instant::now();
        let run = bench.engine.submit(submission(&echo, vec![Value::null()])).await.unwrap();
        bench.engine.ended(run, None).await;
        times.push(began.elapsed());
    }
    times.sort();
    let [p50, p99, most] = [times.len() / 2, times.len() * 99 / 100, times.len() - 1].map(|at| times[at]);
    println!("beside `iterate`: {} flows, p50 {p50:?}, p99 {p99:?}, max {most:?}", times.len());
    ended.await.unwrap();
    println!("`iterate` 1 000 000 times: {:?}, resident {:.0} MiB", began.elapsed(), resident());
}

async fn fold() {
    let steps: Vec<String> = (0..20)
        .map(|step| match step {
            0 => "{id: s0, component: /echo, input: {$input: $}}".to_owned(),
            step => format!("{{id: s{step}, component: /echo, input: {{$step: s{}}}}}", step - 1),
        })
        .collect();
    let plan = plan(&format!("{{name: f, steps: [{}], output: {{$step: s19}}}}", steps.join(", ")));
    let bench = bench(Options::default());
    let inputs = (0..1_000_u64).map(Value::from).collect();
    let began = Instant::now();
    let run = bench.engine.submit(submission(&plan, inputs)).await.unwrap();
    bench.engine.ended(run, None).await;
    let took = began.elapsed();
    let journal = bench.store.journal(run).unwrap();
    let began = Instant::now();
    let rounds = 5;
    for _ in 0..rounds {
        let mut building = Machine::building(run);
        journal.iter().for_each(|record| building.fold(record));
        std::hint::black_box(building.finish());
    }
    let speed = (journal.len() * rounds) as f64 / began.elapsed().as_secs_f64();
    println!("20 000 steps in {took:?} ({:?} a step); folding {speed:.0} events/s", took / 20_000);
}

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if is_chosen("fold") {
            fold().await;
        }
        if is_chosen("batch") {
            batch().await;
        }
        if is_chosen("fair") {
            fair().await;
        }
        if is_chosen("park") {
            park().await;
        }
        if is_chosen("sleep") {
            sleep().await;
        }
    });
}
