//! What is always true of the pool, no matter what happens in its workers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Answer, TaskEnvelope, max_suspects};

use super::bench::{Bench, crash, ordered, task};
use crate::worker::pool::InstanceId;

const CAPACITY: usize = 3;

/// How often an attempt may be lost before it fails.
const BUDGET: u32 = 3;

/// Something that happens; the number chooses to which task or worker.
#[derive(Debug, Clone, Copy)]
enum Action {
    Offer {
        suspects: u32,
        single: bool,
        recovers: bool,
    },
    /// What is held back is marked, but this one in four.
    Mark(usize),
    Succeed(usize),
    Refuse(usize),
    Unreach(usize),
    HaveNoRoom(usize),
    Cancel(usize),
    Park(usize),
    Unpark(usize),
    Crash(usize),
    Replace(usize),
    Enter,
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let which = 0_usize..64;
    prop_oneof![
        6 => (prop_oneof![4 => Just(0), 1 => 1_u32..8], prop::bool::weighted(0.3), prop::bool::weighted(0.3))
            .prop_map(|(suspects, single, recovers)| Offer { suspects, single, recovers }),
        3 => which.clone().prop_map(Mark),
        6 => which.clone().prop_map(Succeed),
        1 => which.clone().prop_map(Refuse),
        1 => which.clone().prop_map(Unreach),
        1 => which.clone().prop_map(HaveNoRoom),
        2 => which.clone().prop_map(Cancel),
        1 => which.clone().prop_map(Park),
        1 => which.clone().prop_map(Unpark),
        1 => which.clone().prop_map(Crash),
        1 => which.prop_map(Replace),
        2 => Just(Enter),
    ]
}

/// The pool, and what the test knows about it.
struct Model {
    bench: Bench,
    offered: BTreeMap<TaskRef, TaskEnvelope>,
    parked: BTreeSet<TaskRef>,
    /// The tasks whose slot may have been taken while they were parked.
    returned: BTreeSet<TaskRef>,
}

impl Model {
    fn act(&mut self, action: Action) {
        let open = self.bench.all_open();
        let tasks: Vec<TaskRef> = open.values().flatten().copied().collect();
        let workers: Vec<InstanceId> = open.keys().copied().collect();
        let nth = |which: usize| (!tasks.is_empty()).then(|| tasks[which % tasks.len()]);
        let worker = |which: usize| (!workers.is_empty()).then(|| workers[which % workers.len()]);
        match action {
            Action::Offer { suspects, single, recovers } => {
                let task = TaskEnvelope { suspects, recovers, ..task(if single { "/single" } else { "/echo" }) };
                self.offered.insert(task.task, task.clone());
                self.bench.offer(task);
            }
            Action::Mark(which) => {
                let held = self.bench.held().into_iter().enumerate();
                held.filter(|(at, _)| at % 4 != which % 4).for_each(|(_, held)| self.bench.proceed(held));
            }
            Action::Enter => _ = self.bench.worker_with(CAPACITY as u32, &[("/single", 1)]),
            Action::Succeed(which) => nth(which).into_iter().for_each(|task| self.bench.succeed(task)),
            Action::Refuse(which) => nth(which).into_iter().for_each(|task| self.bench.refuse(task)),
            Action::Unreach(which) => nth(which).into_iter().for_each(|task| self.bench.unreach(task)),
            Action::HaveNoRoom(which) => nth(which).into_iter().for_each(|task| self.bench.refuse_for_room(task)),
            Action::Cancel(which) => {
                let all: Vec<TaskRef> = self.offered.keys().copied().collect();
                all.get(which).into_iter().for_each(|task| self.bench.cancel(*task));
            }
            Action::Park(which) => {
                let parked = nth(which).filter(|task| self.bench.park(*task));
                self.parked.extend(parked);
            }
            Action::Unpark(which) => {
                if let Some(task) = nth(which).filter(|task| self.bench.unpark(*task)) {
                    self.parked.remove(&task);
                    self.returned.insert(task);
                }
            }
            Action::Crash(which) => worker(which).into_iter().for_each(|id| self.bench.remove_instance(id, &crash())),
            Action::Replace(which) => {
                worker(which).into_iter().for_each(|id| self.bench.remove_instance(id, &ordered()))
            }
        }
    }

    /// No worker has more executes than it takes, except those that came back from a sub-run.
    fn check_bounds(&mut self) {
        for tasks in self.bench.all_open().values() {
            let busy: Vec<&TaskRef> =
                tasks.iter().filter(|task| !self.parked.contains(task) && !self.returned.contains(task)).collect();
            assert!(busy.len() <= CAPACITY, "over capacity");
            let of = |task: &TaskRef| &self.offered[task];
            let single = |task: &&&TaskRef| of(task).route.component == "/single";
            assert!(busy.iter().filter(single).count() <= 1, "over a component's limit");
            let suspects: Vec<u32> =
                busy.iter().map(|task| max_suspects(of(task).suspects)).filter(|most| *most > 0).collect();
            assert!(suspects.is_empty() || suspects.len() == busy.len(), "a suspect is among others");
            assert!(suspects.iter().all(|most| suspects.len() <= *most as usize), "a suspect has too many beside it");
        }
    }
}

proptest! {
    #[test]
    fn every_offer_is_answered_once_and_no_bound_is_exceeded(actions in prop::collection::vec(action(), 0..80)) {
        let mut model = Model {
            bench: Bench::new(),
            offered: BTreeMap::new(),
            parked: BTreeSet::new(),
            returned: BTreeSet::new(),
        };
        for action in actions {
            model.act(action);
            model.check_bounds();
        }
        model.bench.shut_down();
        let workers: Vec<InstanceId> = model.bench.all_open().into_keys().collect();
        workers.into_iter().for_each(|id| model.bench.remove_instance(id, &ordered()));
        for task in model.offered.keys() {
            prop_assert_eq!(model.bench.answers(*task), 1);
            let answered = model.bench.answer(*task);
            prop_assert!(!matches!(answered, Some(Answer::Success(_))) || model.bench.was_started(*task));
        }
    }

    /// A poison task crashes its worker as soon as the worker runs it, together with anything.
    #[test]
    fn exactly_the_poison_fails_and_it_is_found_in_few_rounds(
        poisonous in prop_oneof![
            prop::collection::vec(prop::bool::weighted(0.2), 1..80),
            (0_usize..40, 1_usize..40).prop_map(|(before, poison)| [vec![false; before], vec![true; poison]].concat()),
        ],
        capacity in 1_u32..40,
        workers in 1_usize..4,
        choices in prop::collection::vec(0_usize..64, 64),
    ) {
        let mut bench = Bench::new();
        (0..workers).for_each(|_| _ = bench.worker(capacity));
        let tasks: BTreeMap<_, _> =
            poisonous.iter().map(|poison| (task("/echo"), *poison)).map(|(task, poison)| (task.task.task_id, (task, poison))).collect();
        let mut spent: BTreeMap<_, u32> = BTreeMap::new();
        let mut ended = BTreeMap::new();
        tasks.values().for_each(|(task, _)| _ = bench.offer(task.clone()));
        for choice in choices.iter().cycle() {
            let open: Vec<(InstanceId, TaskRef)> =
                bench.all_open().into_iter().flat_map(|(id, tasks)| tasks.into_iter().map(move |task| (id, task))).collect();
            let Some((id, chosen)) = (!open.is_empty()).then(|| open[choice % open.len()]) else { break };
            if tasks[&chosen.task_id].1 {
                bench.crash(Some(id));
                bench.worker(capacity);
            } else {
                bench.succeed(chosen);
            }
            for (answered, answer) in bench.new_answers() {
                let lost = match answer {
                    Answer::Lost(lost) => lost,
                    answer => {
                        ended.insert(answered.task_id, matches!(answer, Answer::Success(_)));
                        continue;
                    }
                };
                prop_assert!(!lost.spends || tasks[&answered.task_id].1, "the innocent has paid");
                let spent = spent.entry(answered.task_id).or_default();
                *spent += u32::from(lost.spends);
                let rounds = capacity.next_power_of_two().ilog2();
                prop_assert!(answered.attempt - *spent <= rounds, "attempt {}", answered.attempt);
                if *spent > BUDGET {
                    ended.insert(answered.task_id, false);
                } else {
                    let next = TaskRef { attempt: answered.attempt + 1, ..answered };
                    bench.offer(TaskEnvelope { task: next, suspects: lost.suspects, ..tasks[&answered.task_id].0.clone() });
                }
            }
        }
        prop_assert_eq!(ended.len(), tasks.len(), "somebody never ended");
        for (task, well) in ended {
            prop_assert_eq!(well, !tasks[&task].1);
        }
    }
}
