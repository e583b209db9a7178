//! A story: several engines, one after the other, over one store. In its world one thing happens at a time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use stepflow_engine::event::{Event, Outcome, Record, TaskRef};
use stepflow_engine::ports::TaskEnvelope;
use stepflow_engine::{Engine, Error, Notice, Options, Ports, Submission, inbox};
use stepflow_protocol::{ErrorKind, RunId, Value};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::calls;
use super::clock::VirtualClock;
use super::flows::Case;
use super::host::{Host, lost};
use super::naive;
use super::store::{Fate, Store};

/// What subscribers have seen of each tree.
type Seen = Arc<Mutex<BTreeMap<RunId, Vec<Arc<Record>>>>>;

pub struct Story {
    pub store: Arc<Store>,
    pub clock: Arc<VirtualClock>,
    pub options: Options,
    drivers: u8,
    pub life: Life,
    pub random: Random,
    seen: Seen,
    /// Whether reads fail and wait, the wall clock is set and workers are lost, at random.
    pub rough: bool,
    losses: u32,
    /// The result of the append with this number, counted from 0 over all lives.
    pub fates: BTreeMap<u64, Fate>,
}

/// One engine, from its start to a crash.
pub struct Life {
    pub runtime: Runtime,
    pub engine: Engine,
    pub host: Arc<Host>,
}

/// Numbers that the seed decides (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % most.max(1) as u64).unwrap()
    }

    pub fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

impl Story {
    pub fn new(seed: u64, options: Options) -> Self {
        Self::with(seed, options, Store::new(10_000), 1)
    }

    /// The same with this store, and so many drivers.
    pub fn with(seed: u64, options: Options, store: Arc<Store>, drivers: u8) -> Self {
        let clock = Arc::new(VirtualClock::new());
        let life = Life::begin(&store, &clock, &options, drivers);
        let (random, seen) = (Random(seed), Seen::default());
        Self { store, clock, options, drivers, life, random, seen, rough: false, losses: 0, fates: BTreeMap::new() }
    }

    /// Lets everything happen that can.
    pub fn settle(&self) {
        self.life.settle();
    }

    /// Sends a request to the engine, and lets everything happen that follows.
    pub fn ask<T: Send + 'static>(&self, question: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let asked = self.life.runtime.spawn(question);
        self.settle();
        asked
    }

    /// The answer, which must be there.
    pub fn answer<T>(&self, asked: JoinHandle<T>) -> T {
        self.settle();
        assert!(asked.is_finished(), "there is no answer");
        self.life.runtime.block_on(asked).unwrap()
    }

    pub fn submit(&self, submission: Submission) -> JoinHandle<Result<RunId, Error>> {
        let engine = self.life.engine.clone();
        self.ask(async move { engine.submit(submission).await })
    }

    /// A run, submitted and durable, and watched.
    pub fn begin(&mut self, submission: Submission) -> RunId {
        let asked = self.submit(submission);
        while !asked.is_finished() {
            self.store_all();
        }
        let run = self.answer(asked).unwrap();
        assert!(self.store.durable.run(run).is_some(), "the run was answered before it was durable");
        self.watch(run);
        run
    }

    /// Commits and answers everything in the queue.
    pub fn store_all(&self) {
        self.settle();
        loop {
            match self.store.first() {
                Some(root) => self.store.deal(root, Fate::Commit),
                None if self.store.has_answers() => self.store.deliver(false),
                None => return,
            }
            if self.store.first().is_none() && !self.store.has_answers() {
                self.settle();
            }
        }
    }

    /// Begins to record the news that a subscriber gets of the tree, from where the last one stopped.
    pub fn watch(&self, root: RunId) {
        let (seen, store) = (Arc::clone(&self.seen), Arc::clone(&self.store));
        let after = self.seen.lock().unwrap().entry(root).or_default().len() as u64;
        let mut news = self.life.engine.subscribe(root, after);
        self.life.runtime.spawn(async move {
            loop {
                match news.next().await {
                    Ok(Some(Notice::Record(record))) => {
                        if store.record(root, record.seq).as_ref() != Some(&record) {
                            store.complain(format!("a subscriber saw {}, which is not durable", record.seq));
                        }
                        seen.lock().unwrap().entry(root).or_default().push(record);
                    }
                    Ok(Some(Notice::Started { task, .. })) => {
                        let schedules = |event: &Event| matches!(event, Event::StepScheduled(of) if of.task == task);
                        if !store.journal(root).iter().any(|record| schedules(&record.event)) {
                            store.complain(format!("a subscriber saw {task:?} start, which is not durable"));
                        }
                    }
                    Ok(None) => return,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        });
    }

    /// The server dies; another one takes over.
    pub fn crash(&mut self) {
        self.store.crash();
        let next = Life::begin(&self.store, &self.clock, &self.options, self.drivers);
        let _ = std::mem::replace(&mut self.life, next);
        let roots: Vec<RunId> = self.seen.lock().unwrap().keys().copied().collect();
        for root in roots.into_iter().filter(|root| !self.has_seen_end(*root)) {
            self.watch(root);
        }
    }

    /// Another server takes over, and the one before does not know it. Nothing watches the runs of that one any more.
    pub fn replace(&mut self) -> Life {
        let next = Life::begin(&self.store, &self.clock, &self.options, self.drivers);
        let old = std::mem::replace(&mut self.life, next);
        self.settle();
        self.seen = Seen::default();
        old
    }

    fn has_seen_end(&self, root: RunId) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.get(&root).is_some_and(|seen| seen.iter().any(|record| is_end(record, root)))
    }

    /// The server is stopped in good order; another one takes over.
    pub fn restart(&mut self) {
        let engine = self.life.engine.clone();
        self.store.set(|state| (state.down, state.reads_wait) = (false, false));
        self.life.host.stopping.store(true, Ordering::Relaxed);
        let stopped = self.ask(async move { engine.shutdown().await });
        self.store_all();
        self.answer(stopped);
        self.crash();
    }

    /// Lets one thing happen. False when nothing can.
    pub fn happen(&mut self) -> bool {
        if self.rough {
            self.be_rough();
        }
        self.settle();
        let host = Arc::clone(&self.life.host);
        let (queued, unstarted, answerable) = (self.store.queued(), host.unstarted(), host.answerable());
        let answers = usize::from(self.store.has_answers());
        let possible = 2 * queued.len() + 2 * answers + unstarted.len() + answerable.len();
        if possible == 0 || self.random.one_in(40) {
            let stands = self.store.lock().reads_wait;
            let Some(wait) = self.clock.until_next() else { return possible > 0 || stands };
            self.clock.advance(wait);
            return true;
        }
        let mut choice = self.random.below(possible);
        if choice < 2 * queued.len() {
            self.deal(queued[choice / 2]);
            return true;
        }
        choice -= 2 * queued.len();
        if choice < 2 * answers {
            let put_off = self.random.one_in(3);
            self.store.deliver(put_off);
            return true;
        }
        choice -= 2 * answers;
        if let Some(task) = unstarted.get(choice) {
            self.start(*task);
            return true;
        }
        self.end(answerable[choice - unstarted.len()]);
        true
    }

    /// The attempt ends with its answer, or is lost.
    fn end(&mut self, task: TaskRef) {
        let loses = self.rough && self.losses < 4 && self.random.one_in(8);
        self.losses += u32::from(loses);
        // Two for the transport: a flow's own `/lost` takes another one.
        let answer = loses.then(|| lost(self.losses <= 2));
        self.life.host.answer(task, answer);
    }

    /// Work in the background.
    fn be_rough(&mut self) {
        match self.random.below(60) {
            0 => self.store.set(|state| state.down = true),
            1 => self.store.set(|state| state.reads_wait = true),
            2..9 => self.store.set(|state| (state.down, state.reads_wait) = (false, false)),
            9 => self.clock.set_wall_time(SignedDuration::from_secs(3)),
            10 => self.clock.set_wall_time(SignedDuration::from_secs(-3)),
            _ => {}
        }
    }

    /// The job of this component, which the host must have.
    pub fn job(&self, component: &str) -> TaskEnvelope {
        let jobs = self.life.host.jobs().into_iter().map(|job| job.task);
        let found = jobs.into_iter().find(|task| task.route.component == component);
        found.unwrap_or_else(|| panic!("`{component}` was not offered: {:?}", self.violations()))
    }

    /// A worker takes the job of this component and answers it.
    pub fn work(&self, component: &str) {
        let task = self.job(component).task;
        self.start(task);
        if self.life.host.jobs().iter().any(|job| job.task.task == task && !job.started) {
            self.store_all();
        }
        self.life.host.answer(task, None);
        self.settle();
    }

    /// Moves the clock forward.
    pub fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.settle();
    }

    /// Panics when the engine has made a mistake.
    pub fn check(&self, root: RunId) {
        assert_eq!(self.violations(), Vec::<String>::new());
        super::invariants::check(root, &self.store.journal(root));
    }

    /// Deals with the next request of a tree as the story wants it.
    pub fn deal(&mut self, root: RunId) {
        let number = self.store.lock().dealt;
        let fate = if self.store.next_is_append(root) { self.fates.remove(&number) } else { None };
        self.store.deal(root, fate.unwrap_or(Fate::Commit));
    }

    pub fn start(&self, task: TaskRef) {
        let _inside = self.life.runtime.enter();
        self.life.host.start(task);
    }

    /// Lets things happen until the run has ended and there is nothing more to do.
    pub fn finish(&mut self, root: RunId) {
        for _ in 0..20_000 {
            let idle = self.store.queued().is_empty() && !self.store.has_answers() && self.life.host.jobs().is_empty();
            if idle && self.is_ended(root) {
                // Subscribers get the rest, after all pauses.
                self.store.set(|state| (state.down, state.reads_wait) = (false, false));
                for _ in 0..3 {
                    self.pass(Duration::from_secs(5));
                    self.store_all();
                }
                return;
            }
            assert!(self.happen(), "nothing can happen, and the run has not ended");
        }
        let journal = self.store.journal(root);
        let journal: Vec<String> = journal.iter().map(|record| serde_json::to_string(&record).unwrap()).collect();
        panic!("the run does not come to an end: {:?} {}", self.violations(), journal.join("\n"));
    }

    pub fn is_ended(&self, root: RunId) -> bool {
        self.store.durable.run(root).is_some_and(|run| run.status.is_terminal())
    }

    /// The mistakes of the engine, and the news that subscribers have missed.
    pub fn violations(&self) -> Vec<String> {
        let mut violations = self.store.violations();
        violations.extend(super::panics::of_this_thread());
        for (root, seen) in &*self.seen.lock().unwrap() {
            let mut journal = self.store.journal(*root);
            // Answers of workers after the end are only in the journal.
            let end = journal.iter().position(|record| is_end(record, *root));
            journal.truncate(end.map_or(journal.len(), |end| end + 1));
            if *seen != journal {
                let seqs = |of: &[Arc<Record>]| of.iter().map(|record| record.seq).collect::<Vec<_>>();
                violations.push(format!("subscribers saw {:?} of {:?}", seqs(seen), seqs(&journal)));
            }
        }
        violations
    }

    /// The outcome of each item that has ended.
    pub fn results(&self, root: RunId) -> Vec<naive::Outcome> {
        let journal = self.store.journal(root);
        let mut ended: Vec<_> = journal
            .iter()
            .filter_map(|record| match &record.event {
                Event::ItemEnded(ended) if ended.run == root => Some((ended.item, &ended.result)),
                _ => None,
            })
            .collect();
        ended.sort_by_key(|(item, _)| *item);
        let outcome = |result: &Outcome| match result {
            Outcome::Success(place) => naive::Outcome::Success(self.store.value(root, place).to_json().unwrap()),
            Outcome::Failed(error) => {
                let own = if error.kind == ErrorKind::ComponentFailed { error.message.clone() } else { String::new() };
                naive::Outcome::Failed(error.kind.name().into(), own)
            }
        };
        ended.into_iter().map(|(_, result)| outcome(result)).collect()
    }
}

impl Life {
    fn begin(store: &Arc<Store>, clock: &Arc<VirtualClock>, options: &Options, drivers: u8) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (inbox, mailbox) = inbox(drivers);
        let host = Host::new(inbox, Arc::clone(store));
        let ports = Ports { journal: store.connect(), host: host.clone(), clock: clock.clone() };
        let engine = {
            let _inside = runtime.enter();
            Engine::start(options.clone(), ports, mailbox)
        };
        let _ = host.engine.set(engine.clone());
        Self { runtime, engine, host }
    }

    pub fn settle(&self) {
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }
}

fn is_end(record: &Record, root: RunId) -> bool {
    matches!(&record.event, Event::RunEnded(ended) if ended.run == root)
}

pub fn submission(flow: &serde_json::Value, inputs: &[serde_json::Value]) -> Submission {
    Submission {
        plan: calls::plan(flow),
        inputs: inputs.iter().map(Value::from_json).collect(),
        variables: None,
        overrides: None,
        max_concurrency: None,
        idempotency_key: None,
    }
}

pub fn of_case(case: &Case) -> Submission {
    Submission { max_concurrency: Some(case.limit), ..submission(&case.flow, &case.inputs) }
}
