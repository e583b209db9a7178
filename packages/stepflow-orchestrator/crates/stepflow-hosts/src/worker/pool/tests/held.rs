//! Tasks that a server left open: no worker has them before the engine has marked them.

use stepflow_engine::ports::Answer;
use stepflow_protocol::rpc_error_codes;

use super::bench::{Bench, crash, ordered, task};
use super::lost;

#[test]
fn a_task_that_recovers_takes_a_slot_and_is_sent_when_it_is_marked() {
    let mut bench = Bench::new();
    let first = bench.recover();
    assert_eq!(bench.held(), [], "there is no worker that could have it");
    let worker = bench.worker(1);
    let next = bench.offer(task("/echo"));
    let held = bench.held();
    assert_eq!(held.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [first]);
    assert_eq!(bench.open(worker), []);
    bench.proceed(held[0]);
    assert_eq!(bench.open(worker), [first]);
    assert!(bench.was_started(first));
    bench.proceed(held[0]);
    bench.succeed(first);
    assert_eq!(bench.open(worker), [next]);
}

#[test]
fn a_task_that_is_cancelled_before_it_is_marked_is_never_sent() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let (first, next) = (bench.recover(), bench.offer(task("/echo")));
    bench.cancel(first);
    assert_eq!(bench.answer(first), Some(Answer::Cancelled));
    bench.held().into_iter().for_each(|held| bench.proceed(held));
    assert_eq!((bench.open(worker), bench.answers(first)), (vec![next], 1));
}

#[test]
fn a_task_whose_worker_is_lost_before_it_is_marked_goes_to_the_next_and_is_no_suspect() {
    for loss in [crash(), ordered()] {
        let mut bench = Bench::new();
        let worker = bench.worker(2);
        let (other, first) = (bench.offer(task("/echo")), bench.recover());
        let before = bench.held();
        bench.remove_instance(worker, &loss);
        assert!(lost(bench.answer(other)).1 <= 1, "it was alone");
        let next = bench.worker(1);
        bench.proceed(before[0]);
        assert_eq!((bench.open(next), bench.answer(first)), (vec![], None), "it has another slot now");
        let now = bench.held();
        bench.proceed(now[0]);
        assert_eq!(bench.open(next), [first]);
    }
}

#[test]
fn a_task_that_its_worker_does_not_accept_is_marked_again() {
    let mut bench = Bench::new();
    let (worker, other) = (bench.worker(1), bench.worker(1));
    let first = bench.recover();
    bench.held().into_iter().for_each(|held| bench.proceed(held));
    bench.answer_with(first, rpc_error_codes::NOT_ACCEPTED);
    assert!(!bench.was_started(first));
    assert_eq!((bench.open(worker), bench.open(other)), (vec![], vec![]));
    bench.held().into_iter().for_each(|held| bench.proceed(held));
    assert!(bench.was_started(first));
}

#[test]
fn a_task_that_is_not_marked_when_the_server_stops_is_given_back() {
    let mut bench = Bench::new();
    let worker = bench.worker(1);
    let first = bench.recover();
    bench.shut_down();
    bench.held().into_iter().for_each(|held| bench.proceed(held));
    assert_eq!(bench.open(worker), []);
    assert_eq!(lost(bench.answer(first)), (false, 0));
}
