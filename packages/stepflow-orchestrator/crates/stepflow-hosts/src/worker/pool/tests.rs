//! The pool without processes: workers are channels, and each test decides what happens in them.

mod bench;
mod held;
mod properties;

use stepflow_engine::ports::{Answer, TaskEnvelope};
use stepflow_protocol::rpc_error_codes;

use super::Loss;
use bench::{Bench, crash, ordered, task};

fn lost(answer: Option<Answer>) -> (bool, u32) {
    let Some(Answer::Lost(lost)) = answer else { panic!("not lost: {answer:?}") };
    (lost.spends, lost.suspects)
}

#[test]
fn a_task_goes_to_the_instance_with_most_free_slots() {
    let mut bench = Bench::new();
    let (small, large) = (bench.worker(2), bench.worker(5));
    (0..5).for_each(|_| _ = bench.offer(task("/echo")));
    assert_eq!((bench.open(small).len(), bench.open(large).len()), (1, 4));
}

#[test]
fn a_full_component_does_not_hold_up_the_tasks_behind_it() {
    let mut bench = Bench::new();
    let worker = bench.worker_with(8, &[("/single", 1)]);
    let tasks = ["/single", "/single", "/single", "/echo"].map(|path| bench.offer(task(path)));
    assert_eq!(bench.open(worker), [tasks[0], tasks[3]]);
    bench.succeed(tasks[0]);
    assert_eq!(bench.open(worker), [tasks[3], tasks[1]]);
}

#[test]
fn a_limit_counts_for_all_paths_of_its_pattern() {
    let mut bench = Bench::new();
    let worker = bench.worker_with(8, &[("/udf/{*rest}", 2)]);
    let tasks = ["/udf/a", "/udf/b", "/udf/c"].map(|path| bench.offer(task(path)));
    assert_eq!(bench.open(worker), tasks[..2]);
}

#[test]
fn tasks_that_waited_for_the_handshake_keep_to_its_limits() {
    let mut bench = Bench::new();
    let tasks = ["/single", "/single", "/echo"].map(|path| bench.offer(task(path)));
    let worker = bench.worker_with(8, &[("/single", 1)]);
    assert_eq!(bench.open(worker), [tasks[0], tasks[2]]);
}

#[test]
fn attempts_lost_together_are_suspects_and_spend_nothing() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let tasks = [bench.offer(task("/echo")), bench.offer(task("/echo"))];
    bench.remove_instance(worker, &crash());
    assert_eq!(tasks.map(|task| lost(bench.answer(task))), [(false, 2); 2]);
}

#[test]
fn an_attempt_that_is_lost_alone_spends() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let task = bench.offer(task("/echo"));
    bench.remove_instance(worker, &crash());
    assert_eq!(lost(bench.answer(task)), (true, 1));
}

#[test]
fn attempts_lost_in_a_kill_that_was_ordered_are_neither_suspected_nor_charged() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let task = bench.offer(task("/echo"));
    bench.remove_instance(worker, &ordered());
    assert_eq!(lost(bench.answer(task)), (false, 0));
}

#[test]
fn an_attempt_that_waits_for_its_sub_run_is_innocent_of_the_crash() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let parent = bench.offer(task("/echo"));
    assert!(bench.park(parent));
    let child = bench.offer(task("/echo"));
    bench.remove_instance(worker, &crash());
    assert_eq!([parent, child].map(|task| lost(bench.answer(task))), [(false, 0), (true, 1)]);
}

#[test]
fn a_suspect_runs_alone_and_nothing_joins_it() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let before = bench.offer(task("/echo"));
    let suspect = bench.suspect(1);
    let after = bench.offer(task("/echo"));
    assert_eq!(bench.open(worker), [before], "the worker is kept free for the suspect");
    bench.succeed(before);
    assert_eq!(bench.open(worker), [suspect]);
    bench.succeed(suspect);
    assert_eq!(bench.open(worker), [after]);
}

#[test]
fn at_most_half_of_those_that_shared_a_crash_share_a_worker_next() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let suspects: Vec<_> = (0..5).map(|_| bench.suspect(5)).collect();
    let innocent = bench.offer(task("/echo"));
    assert_eq!(bench.open(worker), suspects[..3]);
    bench.succeed(suspects[0]);
    assert_eq!(bench.open(worker), suspects[1..4], "a suspect that did not crash its worker makes room for the next");
    suspects[1..].iter().for_each(|suspect| bench.succeed(*suspect));
    assert_eq!(bench.open(worker), [innocent]);
}

#[test]
fn suspects_in_one_worker_are_at_most_as_many_as_each_allows() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let many = [bench.suspect(8), bench.suspect(8), bench.suspect(8)];
    let few = bench.suspect(4);
    assert_eq!(bench.open(worker), many, "of which it may be with one only");
    bench.succeed(many[0]);
    bench.succeed(many[1]);
    let last = bench.suspect(8);
    assert_eq!(bench.open(worker), [many[2], few]);
    bench.succeed(few);
    assert_eq!(bench.open(worker), [many[2], last]);
}

#[test]
fn suspects_keep_to_the_limit_of_their_component() {
    let mut bench = Bench::new();
    let worker = bench.worker_with(8, &[("/single", 1)]);
    let single = |_| TaskEnvelope { suspects: 8, ..task("/single") };
    let suspects = [0, 1].map(single).map(|suspect| bench.offer(suspect));
    assert_eq!(bench.open(worker), suspects[..1]);
}

#[test]
fn what_a_server_left_open_waits_longer_for_a_worker_that_does_not_start() {
    let mut bench = Bench::new();
    let recovered = || TaskEnvelope { recovers: true, ..task("/echo") };
    let (new, before) = (bench.offer(task("/echo")), bench.offer(recovered()));
    bench.fail_to_start(0, false);
    assert!(matches!(bench.answer(new), Some(Answer::Failed(_))));
    let (new, after) = (bench.offer(task("/echo")), bench.offer(recovered()));
    assert!(matches!(bench.answer(new), Some(Answer::Failed(_))));
    assert_eq!([before, after].map(|task| bench.answer(task)), [None, None]);
    bench.fail_to_start(0, true);
    for task in [before, after, bench.offer(recovered())] {
        assert!(matches!(bench.answer(task), Some(Answer::Failed(_))));
    }
}

#[test]
fn what_a_server_left_open_goes_to_the_worker_that_starts_in_the_end() {
    let mut bench = Bench::new();
    let recovered = bench.recover();
    bench.fail_to_start(0, false);
    let worker = bench.worker(1);
    bench.held().into_iter().for_each(|held| bench.proceed(held));
    assert_eq!(bench.open(worker), [recovered]);
}

#[test]
fn nothing_that_waits_is_refused_while_a_worker_is_ready() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let tasks = [bench.offer(task("/echo")), bench.offer(task("/echo"))];
    (0..9).for_each(|_| bench.crash(None));
    assert_eq!(bench.answer(tasks[1]), None);
    bench.remove_instance(worker, &ordered());
    bench.crash(None);
    assert!(matches!(bench.answer(tasks[1]), Some(Answer::Failed(_))));
}

#[test]
fn while_a_suspect_has_one_worker_the_others_go_on() {
    let mut bench = Bench::new();
    let (one, other) = (bench.worker(2), bench.worker(2));
    let suspect = bench.suspect(1);
    let tasks = [bench.offer(task("/echo")), bench.offer(task("/echo"))];
    let (alone, shared) = if bench.open(one) == [suspect] { (one, other) } else { (other, one) };
    assert_eq!(bench.open(alone), [suspect]);
    assert_eq!(bench.open(shared), tasks);
}

#[test]
fn a_suspect_has_its_turn_however_busy_the_workers_are() {
    let mut bench = Bench::new();
    let workers = [bench.worker(2), bench.worker(2)];
    (0..100).for_each(|_| _ = bench.offer(task("/echo")));
    let suspect = bench.suspect(1);
    // Each worker in turn ends one of its tasks, and could take the next one.
    for turn in 0..8 {
        let open = bench.open(workers[turn % 2]);
        open.first().into_iter().for_each(|task| bench.succeed(*task));
    }
    assert!(bench.was_started(suspect));
}

#[test]
fn an_execute_that_waits_for_its_sub_run_gives_its_slot_back() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let parent = bench.offer(task("/echo"));
    let child = bench.offer(task("/echo"));
    assert_eq!(bench.open(worker), [parent]);
    assert!(bench.park(parent));
    assert_eq!(bench.open(worker), [parent, child]);
    assert!(bench.unpark(parent), "it goes on although its slot is taken");
    let third = bench.offer(task("/echo"));
    bench.succeed(parent);
    assert_eq!(bench.open(worker), [child]);
    bench.succeed(child);
    assert_eq!(bench.open(worker), [third]);
}

#[test]
fn a_suspect_lets_its_own_sub_run_in() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let parent = bench.suspect(1);
    assert!(bench.park(parent));
    let child = bench.suspect(1);
    assert_eq!(bench.open(worker), [parent, child]);
}

#[test]
fn a_suspect_that_waits_for_an_empty_worker_does_not_block_what_its_executes_wait_for() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let asks = bench.offer(task("/echo"));
    let suspect = bench.suspect(1);
    let (child, neighbour) = (bench.below(asks, 0), bench.offer(task("/echo")));
    assert_eq!(bench.open(worker), [asks, child]);
    bench.succeed(child);
    let crashed_once = bench.below(asks, 1);
    assert_eq!(bench.open(worker), [asks, crashed_once]);
    bench.succeed(crashed_once);
    bench.succeed(asks);
    assert_eq!(bench.open(worker), [suspect]);
    bench.succeed(suspect);
    assert_eq!(bench.open(worker), [neighbour]);
}

#[test]
fn a_suspect_that_asks_for_a_run_again_and_again_can_still_end() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let asks = bench.suspect(2);
    let neighbour = bench.offer(task("/echo"));
    let children = [bench.below(asks, 0), bench.below(asks, 0)];
    assert_eq!(bench.open(worker), [asks, children[0], children[1]]);
    children.into_iter().chain([asks]).for_each(|task| bench.succeed(task));
    assert_eq!(bench.open(worker), [neighbour]);
}

#[test]
fn an_attempt_above_another_one_is_innocent_of_the_crash() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let asks = bench.offer(task("/echo"));
    let child = bench.below(asks, 0);
    bench.remove_instance(worker, &crash());
    assert_eq!([asks, child].map(|task| lost(bench.answer(task))), [(false, 0), (true, 1)]);
}

#[test]
fn a_task_that_is_not_accepted_goes_elsewhere_and_no_other_follows_it() {
    let mut bench = Bench::new();
    let draining = bench.worker(8);
    let refused = bench.offer(task("/echo"));
    let other = bench.worker(1);
    bench.refuse(refused);
    assert_eq!(bench.open(other), [refused]);
    let waiting = bench.offer(task("/echo"));
    assert!(bench.open(draining).is_empty());
    bench.succeed(refused);
    assert_eq!(bench.open(other), [waiting]);
}

#[test]
fn a_worker_without_room_is_tried_again_when_it_has_ended_something_or_after_a_while() {
    let mut bench = Bench::new();
    let worker = bench.worker(2);
    let tasks = [0; 3].map(|_| bench.offer(task("/echo")));
    bench.refuse_for_room(tasks[1]);
    assert_eq!(bench.open(worker), tasks[..1]);
    assert!(!bench.was_started(tasks[1]) && bench.answer(tasks[1]).is_none());
    bench.succeed(tasks[0]);
    assert_eq!(bench.open(worker), [tasks[2], tasks[1]]);
    bench.refuse_for_room(tasks[2]);
    bench.refuse_for_room(tasks[1]);
    assert!(bench.open(worker).is_empty());
    bench.retry(worker);
    assert_eq!(bench.open(worker), [tasks[2], tasks[1]]);
}

#[test]
fn a_task_that_nobody_accepts_waits_and_has_not_started() {
    let mut bench = Bench::new();
    bench.worker(8);
    let refused = bench.offer(task("/echo"));
    assert!(bench.was_started(refused));
    bench.unreach(refused);
    assert!(!bench.was_started(refused) && bench.answer(refused).is_none());
}

#[test]
fn one_lost_message_loses_one_attempt() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let tasks = [bench.offer(task("/echo")), bench.offer(task("/echo"))];
    let Loss::Ordered(gone) = ordered() else { unreachable!() };
    bench.lose_execute(tasks[0], gone);
    assert_eq!(lost(bench.answer(tasks[0])), (false, 0));
    assert_eq!(bench.open(worker), [tasks[1]]);
}

#[test]
fn a_cancelled_attempt_is_cancelled_however_its_worker_goes() {
    for loss in [crash(), ordered()] {
        let mut bench = Bench::new();
        let worker = bench.worker(8);
        let task = bench.offer(task("/echo"));
        bench.cancel(task);
        assert_eq!(bench.answer(task), None, "its slot is taken until it ends");
        bench.remove_instance(worker, &loss);
        assert_eq!(bench.answer(task), Some(Answer::Cancelled));
    }
}

#[test]
fn a_task_goes_to_a_worker_that_serves_it() {
    let mut bench = Bench::new();
    let old = bench.worker_of(&["/echo", "/old/{*rest}"]);
    let new = bench.worker_of(&["/echo", "/new/{name}"]);
    let tasks = ["/new/a", "/new/b", "/old/a/b", "/old/c"].map(|path| bench.offer(task(path)));
    assert_eq!((bench.open(old), bench.open(new)), (vec![tasks[2]], vec![tasks[0]]));
    bench.succeed(tasks[0]);
    bench.succeed(tasks[2]);
    assert_eq!((bench.open(old), bench.open(new)), (vec![tasks[3]], vec![tasks[1]]));
    bench.remove_instance(old, &ordered());
    let waiting = bench.offer(task("/old/d"));
    bench.succeed(tasks[1]);
    assert!(bench.open(new).is_empty(), "it waits for its worker");
    bench.fail_to_start(0, true);
    assert!(matches!(bench.answer(waiting), Some(Answer::Failed(_))));
    let late = bench.offer(task("/old/e"));
    assert!(matches!(bench.answer(late), Some(Answer::Failed(_))));
}

#[test]
fn a_task_that_came_before_the_handshakes_goes_to_a_worker_that_serves_it() {
    let mut bench = Bench::new();
    let early = bench.offer(task("/new"));
    let waits = bench.offer(task("/old"));
    let first = bench.worker_of(&["/old", "/new"]);
    assert_eq!(bench.open(first), [early]);
    let second = bench.worker_of(&["/new"]);
    assert!(bench.open(second).is_empty());
    bench.succeed(early);
    assert_eq!(bench.open(first), [waits]);
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut bench = Bench::new();
    let worker = bench.worker(8);
    let task = bench.offer(task("/echo"));
    let request = bench.request(task);
    bench.succeed(task);
    bench.answer_again(worker, request);
    assert_eq!(bench.answers(task), 1);
}

#[test]
fn what_fails_while_its_worker_is_ended_is_lost_and_what_succeeds_counts() {
    let mut bench = Bench::new();
    bench.worker(8);
    let [fails, succeeds] = [bench.offer(task("/echo")), bench.offer(task("/echo"))];
    bench.shut_down();
    bench.answer_with(fails, rpc_error_codes::COMPONENT_FAILED);
    bench.succeed(succeeds);
    assert_eq!(lost(bench.answer(fails)), (false, 0));
    assert!(matches!(bench.answer(succeeds), Some(Answer::Success(_))));
}
