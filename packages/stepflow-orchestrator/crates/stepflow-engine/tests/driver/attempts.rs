//! Attempts: lost ones, late ones and those that nobody takes.

use stepflow_engine::event::Event;
use stepflow_engine::ports::{Answer, Lost};
use stepflow_protocol::{ErrorKind, ExecutionStatus, FlowError, FlowResult, Value};

use super::bench::{ECHO, bench, submission, worker};

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
