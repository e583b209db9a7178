//! The state of a run, from its events. It does not know about terminals.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use stepflow_engine::event::{Event, Outcome, Record, StepRef};
use stepflow_engine::{Notice, StepChange, StepProgress};
use stepflow_flow::Plan;
use stepflow_flow::visible::one_line;
use stepflow_protocol::{ExecutionStatus, RunId};

use super::short;

/// How many steps under way a sentence names.
const NAMED: usize = 3;

/// The state of a run's steps and items.
pub struct Board {
    /// Their ids and components, each on one line.
    steps: Vec<(String, String)>,
    began: Instant,
    open: BTreeMap<(u32, u32), Open>,
    /// Steps of a run of one item, or items of a batch.
    pub counts: Counts,
    items: usize,
    /// The last event of an earlier process.
    before: u64,
    /// How many items of a batch had ended then.
    ended_before: usize,
    /// The run that is shown. Its sub-runs show as the steps that wait for them.
    run: RunId,
    /// The steps that wait for sub-runs, and how many items of those have failed.
    waiting: HashMap<RunId, (StepRef, usize)>,
    /// What ends after this was asked for ends because of it.
    cancelled: bool,
}

/// How many have ended, and in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Well.
    pub done: usize,
    /// With an error.
    pub failed: usize,
}

/// A step of an item that has begun and has not ended.
#[derive(Debug, Clone)]
pub struct Open {
    /// When its worker got it, as far as that is known; else when it became ready.
    pub since: Instant,
    /// How far it is.
    pub progress: StepProgress,
}

/// What an event changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An attempt of a step became ready.
    Open(StepRef),
    /// A step ended.
    StepEnded {
        /// The step.
        step: StepRef,
        /// The error's message, when it failed.
        failed: Option<String>,
        /// How long it took, with all attempts; `None` when it had ended before this process began.
        took: Option<Duration>,
        /// How many items of its sub-run failed, although the step did not.
        lost: usize,
    },
    /// An item ended.
    ItemEnded {
        /// The error's message, when it failed.
        failed: Option<String>,
    },
}

impl Board {
    /// Nothing has happened yet. Events up to the sequence `before` are those of an earlier process.
    pub fn new(plan: &Plan, run: RunId, items: usize, before: u64, now: Instant) -> Self {
        let on_one_line = |name: &str| one_line(name).into_owned();
        Self {
            steps: plan.steps.iter().map(|step| (on_one_line(&step.id), on_one_line(&step.component))).collect(),
            began: now,
            open: BTreeMap::new(),
            counts: Counts::default(),
            items,
            before,
            ended_before: 0,
            run,
            waiting: HashMap::new(),
            cancelled: false,
        }
    }

    /// Takes notice of what happened.
    pub fn observe(&mut self, notice: &Notice, now: Instant) -> Option<Change> {
        match notice {
            Notice::Started { step, .. } if self.shows(step.run) => {
                self.open.get_mut(&(step.item, step.step))?.since = now;
                None
            }
            Notice::Started { .. } => None,
            Notice::Record(record) => self.record(record, now),
        }
    }

    fn shows(&self, run: RunId) -> bool {
        self.run == run
    }

    fn record(&mut self, record: &Record, now: Instant) -> Option<Change> {
        let was_before = record.seq <= self.before;
        if let Event::CancelAsked(asked) = &record.event {
            self.cancelled |= asked.run.is_none();
        }
        if self.cancelled {
            return None;
        }
        match &record.event {
            Event::RunCreated(created) => {
                if let Some(step) = created.parent.filter(|step| self.shows(step.run)) {
                    self.waiting.insert(created.run, (step, 0));
                }
            }
            Event::ItemEnded(ended) if self.waiting.contains_key(&ended.run) => {
                let failed = usize::from(ended.status != ExecutionStatus::Completed);
                self.waiting.get_mut(&ended.run)?.1 += failed;
            }
            Event::ItemEnded(ended) if self.shows(ended.run) => {
                let failed = message(&ended.result);
                if self.items != 1 {
                    self.counts.add(ended.status != ExecutionStatus::Completed);
                    self.ended_before += usize::from(was_before);
                }
                return Some(Change::ItemEnded { failed });
            }
            // Items that never began end with their run.
            Event::RunEnded(ended) if ended.error.is_some() && self.shows(ended.run) && self.items != 1 => {
                self.counts.failed = self.items.saturating_sub(self.counts.done);
            }
            _ => {}
        }
        let (step, change) = StepChange::of(&record.event).filter(|(step, _)| self.shows(step.run))?;
        match change {
            StepChange::Ended(result) => Some(self.ended(step, message(result), was_before, now)),
            change => self.went_on(step, &change, record.at, now),
        }
    }

    fn went_on(&mut self, at: StepRef, change: &StepChange<'_>, when: Timestamp, now: Instant) -> Option<Change> {
        let first = || Open { since: now, progress: StepProgress::new(when) };
        let open = self.open.entry((at.item, at.step)).or_insert_with(first);
        let before = open.progress.attempts;
        open.progress.apply(change, when);
        // Another sub-run of the same try changes nothing.
        (open.progress.attempts > before).then(|| {
            open.since = now;
            Change::Open(at)
        })
    }

    fn ended(&mut self, step: StepRef, failed: Option<String>, was_before: bool, now: Instant) -> Change {
        let open = self.open.remove(&(step.item, step.step));
        let took = open.map_or(Duration::ZERO, |open| now.duration_since(open.since));
        let took = (!was_before).then_some(took);
        if self.items == 1 {
            self.counts.add(failed.is_some());
        }
        let lost = self.waiting.extract_if(|_, (of, _)| *of == step).map(|(_, (_, lost))| lost).sum();
        Change::StepEnded { step, failed, took, lost }
    }

    /// A step's id and component, each on one line.
    pub fn names(&self, step: u32) -> (&str, &str) {
        let names = usize::try_from(step).ok().and_then(|place| self.steps.get(place));
        names.map_or(("?", "?"), |(id, component)| (id.as_str(), component.as_str()))
    }

    /// The steps that have begun and not ended, by item and place in the flow.
    pub fn open(&self) -> impl Iterator<Item = ((u32, u32), &Open)> {
        self.open.iter().map(|(place, open)| (*place, open))
    }

    /// How long the run has been going.
    pub fn elapsed(&self, now: Instant) -> Duration {
        now.duration_since(self.began)
    }

    /// `3 of 8 steps done, 1 failed`
    pub fn tally(&self) -> String {
        let (total, what) = if self.items == 1 { (self.steps.len(), "step") } else { (self.items, "item") };
        let plural = if total == 1 { "" } else { "s" };
        let failed = if self.counts.failed > 0 { format!(", {} failed", self.counts.failed) } else { String::new() };
        format!("{} of {total} {what}{plural} done{failed}", self.counts.done)
    }

    /// How fast a batch is, and when it will have ended: `, 12.5 items/s, ends in about 40 s`. Nothing before the first
    /// item of this process has ended.
    pub fn pace(&self, now: Instant) -> String {
        let ended = self.counts.done + self.counts.failed;
        let elapsed = self.elapsed(now);
        let ours = ended.saturating_sub(self.ended_before);
        if self.items == 1 || ours == 0 || elapsed.is_zero() {
            return String::new();
        }
        let (ours, left) = (as_f64(ours), as_f64(self.items.saturating_sub(ended)));
        let speed = ours / elapsed.as_secs_f64();
        let end =
            if left > 0.0 { format!(", ends in about {}", short(elapsed.mul_f64(left / ours))) } else { String::new() };
        format!(", {} items/s{end}", if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") })
    }

    /// How far the run is, in one sentence.
    pub fn standing(&self, now: Instant) -> String {
        let named = self
            .open()
            .take(NAMED)
            .map(|((_, step), open)| format!("`{}` for {}", self.names(step).0, short(now.duration_since(open.since))));
        let open = match self.open.len() {
            0 => String::new(),
            some if self.items != 1 => format!("; {some} step{} under way", if some == 1 { "" } else { "s" }),
            some if some <= NAMED => format!("; under way: {}", named.collect::<Vec<_>>().join(", ")),
            many => format!("; under way: {} and {} more", named.collect::<Vec<_>>().join(", "), many - NAMED),
        };
        format!("{}{}{open}", self.tally(), self.pace(now))
    }
}

impl Counts {
    fn add(&mut self, failed: bool) {
        if failed { self.failed += 1 } else { self.done += 1 }
    }
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn message(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Success(_) => None,
        Outcome::Failed(error) => Some(error.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stepflow_engine::event::{
        CancelAsked, EVENT_VERSION, ItemEnded, Reason, Record, Route, RunEnded, StepEnded, StepScheduled, TaskRef,
        ValueRef,
    };
    use stepflow_flow::Source;
    use stepflow_protocol::{ErrorKind, FlowError, RunId, TaskId, Value};

    use super::*;

    const FLOW: &str = "steps:\n- {id: a, component: /x}\n- {id: b, component: /x}\noutput: [{$step: a}, {$step: b}]\n";

    fn board(items: usize, now: Instant) -> Board {
        let flow = stepflow_flow::load(Source::yaml("flow.yaml", FLOW)).flow.unwrap();
        Board::new(&Plan::compile(flow).unwrap(), RunId::from_uuid(uuid::Uuid::nil()), items, 0, now)
    }

    fn at(item: u32, step: u32) -> StepRef {
        StepRef { run: RunId::from_uuid(uuid::Uuid::nil()), item, step }
    }

    fn notice(event: Event) -> Notice {
        Notice::Record(Arc::new(Record { seq: 1, at: jiff::Timestamp::UNIX_EPOCH, version: EVENT_VERSION, event }))
    }

    fn scheduled(item: u32, step: u32) -> Notice {
        notice(Event::StepScheduled(StepScheduled {
            step: at(item, step),
            task: TaskRef { task_id: TaskId::from_uuid(uuid::Uuid::nil()), attempt: 1 },
            component: "/x".to_owned(),
            route: Route { plugin: "p".to_owned(), component: "/x".to_owned() },
            input: ValueRef::Inline(Value::null()),
            reason: Reason::First,
        }))
    }

    fn ended(item: u32, step: u32, result: Outcome) -> Notice {
        notice(Event::StepEnded(StepEnded { step: at(item, step), result, defaulted: false }))
    }

    fn item_ended(item: u32) -> Notice {
        notice(Event::ItemEnded(ItemEnded {
            run: at(0, 0).run,
            item,
            status: ExecutionStatus::Completed,
            result: Outcome::Success(ValueRef::Row(1)),
        }))
    }

    #[test]
    fn a_batch_says_how_fast_it_is_and_when_it_will_have_ended() {
        let began = Instant::now();
        let mut board = board(30, began);
        assert_eq!(board.pace(began + Duration::from_secs(1)), "");
        board.counts = Counts { done: 9, failed: 1 };
        assert_eq!(board.pace(began + Duration::from_secs(4)), ", 2.5 items/s, ends in about 8.0 s");
        board.counts = Counts { done: 30, failed: 0 };
        assert_eq!(board.pace(began + Duration::from_secs(1)), ", 30 items/s");
    }

    #[test]
    fn what_an_earlier_process_has_done_does_not_make_this_one_faster() {
        let began = Instant::now();
        let mut board = Board { before: 1, ..board(4, began) };
        let later = began + Duration::from_secs(2);
        let change = board.observe(&ended(0, 0, Outcome::Success(ValueRef::Inline(Value::null()))), began);
        assert!(matches!(change, Some(Change::StepEnded { took: None, .. })), "{change:?}");
        board.observe(&item_ended(0), began);
        assert_eq!(board.standing(later), "1 of 4 items done");
        board.before = 0;
        board.observe(&item_ended(1), later);
        assert_eq!(board.standing(later), "2 of 4 items done, 0.5 items/s, ends in about 4.0 s");
    }

    #[test]
    fn a_step_counts_when_it_has_ended_and_is_named_while_it_has_not() {
        let now = Instant::now();
        let mut board = board(1, now);
        board.observe(&scheduled(0, 0), now);
        board.observe(&scheduled(0, 1), now);
        assert_eq!(board.standing(now), "0 of 2 steps done; under way: `a` for 0.0 ms, `b` for 0.0 ms");
        board.observe(&ended(0, 0, Outcome::Success(ValueRef::Inline(Value::null()))), now);
        let change = board.observe(&ended(0, 1, Outcome::Failed(FlowError::new(ErrorKind::Timeout, "slow"))), now);
        assert!(matches!(change, Some(Change::StepEnded { failed: Some(why), .. }) if why == "slow"));
        assert_eq!(board.standing(now), "1 of 2 steps done, 1 failed");
    }

    #[test]
    fn of_a_batch_items_are_counted() {
        let now = Instant::now();
        let mut board = board(3, now);
        board.observe(&scheduled(1, 0), now);
        board.observe(&ended(0, 0, Outcome::Success(ValueRef::Inline(Value::null()))), now);
        assert_eq!(board.standing(now), "0 of 3 items done; 1 step under way");
    }

    #[test]
    fn items_that_never_began_have_failed_when_their_run_ends() {
        let now = Instant::now();
        let mut board = board(3, now);
        board.observe(&item_ended(0), now);
        let error = Some(FlowError::new(ErrorKind::Timeout, "too long"));
        let ended = RunEnded { run: at(0, 0).run, status: ExecutionStatus::Failed, error };
        board.observe(&notice(Event::RunEnded(ended)), now);
        assert_eq!(board.counts, Counts { done: 1, failed: 2 });
    }

    #[test]
    fn a_sub_run_that_is_cancelled_is_not_the_end_of_the_one_that_is_shown() {
        let now = Instant::now();
        let mut board = board(1, now);
        board.observe(&scheduled(0, 0), now);
        let run = Some(RunId::from_uuid(uuid::Uuid::max()));
        board.observe(&notice(Event::CancelAsked(CancelAsked { run, by: "user".to_owned(), reason: None })), now);
        board.observe(&ended(0, 0, Outcome::Success(ValueRef::Inline(Value::null()))), now);
        assert_eq!(board.standing(now), "1 of 2 steps done");
    }

    #[test]
    fn what_a_cancellation_ends_is_no_news() {
        let now = Instant::now();
        let mut board = board(1, now);
        board.observe(&scheduled(0, 0), now);
        board.observe(&notice(Event::CancelAsked(CancelAsked { run: None, by: "user".to_owned(), reason: None })), now);
        let lost = Outcome::Failed(FlowError::new(ErrorKind::Cancelled, "cancelled"));
        assert_eq!(board.observe(&ended(0, 0, lost), now), None);
        assert_eq!(board.standing(now), "0 of 2 steps done; under way: `a` for 0.0 ms");
    }
}
