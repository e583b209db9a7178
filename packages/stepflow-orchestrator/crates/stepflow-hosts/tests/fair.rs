//! The order in which waiting tasks are taken.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use stepflow_engine::ports::TaskEnvelope;
use stepflow_hosts::{FairQueue, Lane};
use stepflow_protocol::{RunId, Value};
use uuid::Uuid;

fn task(root: u8, item: u32, step: u32) -> TaskEnvelope {
    let root_run_id = RunId::from_uuid(Uuid::from_u128(u128::from(root)));
    TaskEnvelope { root_run_id, item, step, ..suite::task("/x", Value::null()) }
}

proptest! {
    #[test]
    fn roots_take_turns_and_each_keeps_its_order(places in prop::collection::vec((0_u8..5, 0_u32..6, 0_u32..6), 0..60)) {
        let mut queue = FairQueue::default();
        for (root, item, step) in &places {
            queue.push(task(*root, *item, *step), Lane::ANY);
        }
        let taken = queue.drain();
        prop_assert_eq!(taken.len(), places.len());

        let mut of_root: BTreeMap<RunId, Vec<(u32, u32)>> = BTreeMap::new();
        for task in &taken {
            of_root.entry(task.root_run_id).or_default().push((task.item, task.step));
        }
        for order in of_root.values() {
            prop_assert!(order.is_sorted());
        }
        // Between two turns of a root, every other root that still has tasks gets one turn.
        let mut left: BTreeMap<RunId, usize> = of_root.iter().map(|(root, order)| (*root, order.len())).collect();
        let mut round = BTreeSet::new();
        for task in &taken {
            if round.contains(&task.root_run_id) {
                prop_assert!(left.iter().all(|(root, count)| *count == 0 || round.contains(root)));
                round.clear();
            }
            round.insert(task.root_run_id);
            *left.get_mut(&task.root_run_id).unwrap() -= 1;
        }
    }

    #[test]
    fn what_is_removed_is_never_taken(removals in prop::collection::vec((0_u8..4, 0_u32..4, any::<bool>()), 0..40)) {
        let mut queue = FairQueue::default();
        let tasks: Vec<(TaskEnvelope, bool)> =
            removals.iter().map(|(root, item, remove)| (task(*root, *item, 0), *remove)).collect();
        for (task, _) in &tasks {
            queue.push(task.clone(), Lane::ANY);
        }
        for (task, _) in tasks.iter().filter(|(_, remove)| *remove) {
            prop_assert_eq!(queue.remove(task.task).map(|removed| removed.task), Some(task.task));
        }
        let kept: BTreeSet<_> = tasks.iter().filter(|(_, remove)| !remove).map(|(task, _)| task.task).collect();
        prop_assert_eq!(queue.len(), kept.len());
        prop_assert_eq!(queue.drain().iter().map(|task| task.task).collect::<BTreeSet<_>>(), kept);
        prop_assert!(queue.is_empty());
    }

    #[test]
    fn full_lanes_are_passed_over_and_a_root_without_an_open_one_keeps_its_turn(
        places in prop::collection::vec((0_u8..4, 0_u32..4, 0_u32..3), 1..40),
        full in prop::collection::vec(0_u32..3, 0..40),
    ) {
        let mut queue = FairQueue::default();
        let lane = |lane: u32| Lane { component: lane, max_suspects: 0, served_by: 0 };
        let mut waiting: Vec<(TaskEnvelope, Lane)> =
            places.iter().map(|(root, item, of)| (task(*root, *item, 0), lane(*of))).collect();
        let mut line: Vec<RunId> = Vec::new();
        for (task, lane) in &waiting {
            queue.push(task.clone(), *lane);
            if !line.contains(&task.root_run_id) {
                line.push(task.root_run_id);
            }
        }
        for full in full.into_iter().map(lane) {
            // The first root with a task in an open lane, and its first such task.
            let open = |root: &RunId| waiting.iter().any(|(task, lane)| task.root_run_id == *root && *lane != full);
            let root = line.iter().copied().find(open);
            let first = root.and_then(|root| {
                let tasks = waiting.iter().enumerate().filter(|(_, (task, lane))| task.root_run_id == root && *lane != full);
                tasks.min_by_key(|(_, (task, _))| task.item).map(|(at, _)| at)
            });
            let popped = queue.pop(|lane| lane != full).map(|(_, task)| task.task);
            prop_assert_eq!(popped, first.map(|at| waiting[at].0.task));
            if let (Some(root), Some(at)) = (root, first) {
                waiting.remove(at);
                line.retain(|other| *other != root);
                line.extend(waiting.iter().any(|(task, _)| task.root_run_id == root).then_some(root));
            }
        }
        prop_assert_eq!(queue.len(), waiting.len());
    }

    #[test]
    fn new_lanes_change_no_order(places in prop::collection::vec((0_u8..4, 0_u32..4, 0_u32..3), 0..40)) {
        let (mut plain, mut sorted) = (FairQueue::default(), FairQueue::default());
        for (root, item, step) in &places {
            let task = task(*root, *item, *step);
            plain.push(task.clone(), Lane::ANY);
            sorted.push(task, Lane::ANY);
        }
        sorted.sort(|task| Lane { component: 1 + task.step, max_suspects: 0, served_by: 0 });
        prop_assert!(!sorted.has(|lane| lane == Lane::ANY));
        let order = |mut queue: FairQueue| queue.drain().iter().map(|task| task.task).collect::<Vec<_>>();
        prop_assert_eq!(order(plain), order(sorted));
    }
}

#[test]
fn those_that_run_alone_are_taken_in_the_order_of_their_arrival() {
    let mut queue = FairQueue::default();
    let tasks = [task(0, 3, 0), task(0, 0, 1), task(0, 1, 0)];
    tasks.iter().for_each(|task| queue.push(task.clone(), Lane { component: 0, max_suspects: 1, served_by: 0 }));
    assert_eq!(queue.drain(), tasks);
}
