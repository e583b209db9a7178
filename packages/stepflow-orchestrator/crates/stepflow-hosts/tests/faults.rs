//! Workers on stdio that break the rules: every attempt gets exactly one answer, and the next one is served.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::collections::HashMap;

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Answer, ComponentHost as _, Lost, TaskEnvelope};
use stepflow_hosts::Health;
use stepflow_protocol::{ErrorKind, Value};
use suite::task;
use worker_fixture::{Fixture, worker};

fn odd(how: &str) -> TaskEnvelope {
    task("/echo", Value::string(how))
}

/// The next task is served, and nothing else was told in between.
async fn assert_next_is_served(fixture: &mut Fixture) {
    let next = odd("and then");
    fixture.host.offer(next.clone());
    assert_eq!(fixture.events.answer().await, (next.task, Answer::Success(next.input)));
}

async fn lost(fixture: &mut Fixture) -> Lost {
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    lost
}

#[tokio::test]
async fn an_answer_is_told_from_all_that_looks_like_one() {
    let mut fixture = worker("odd").start().await;
    for how in
        ["ids of other types", "an id that was never asked", "the same id twice", "crlf", "in pieces", "not json"]
    {
        fixture.host.offer(odd(how));
        assert_eq!(fixture.events.output().await, Value::string("right"), "{how}");
        assert_next_is_served(&mut fixture).await;
    }
    assert_eq!(fixture.host.health(), Health::Ready);
}

#[tokio::test]
async fn an_answer_that_is_not_utf_8_is_the_workers_error() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("invalid utf-8"));
    assert_eq!(fixture.events.failure().await.kind, ErrorKind::WorkerError);
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn an_output_that_is_no_value_is_the_components_failure_with_its_place() {
    let mut fixture = worker("odd").start().await;
    for (how, problem) in [
        ("too deep", "nested more than 128 deep: `$[0][0][0][0][0][0]…[0][0]`"),
        ("a key twice", "a key appears twice in one object: `$.rows[1][\"1\"]`"),
        ("half a pair", "a string holds half of a surrogate pair: `$`"),
    ] {
        fixture.host.offer(odd(how));
        let failure = fixture.events.failure().await;
        assert_eq!((failure.kind, failure.code), (ErrorKind::ComponentFailed, 500), "{how}");
        assert_eq!(failure.message, format!("the output of `/echo` is refused: {problem}"));
        assert_next_is_served(&mut fixture).await;
    }
    assert_eq!(fixture.host.health(), Health::Ready);
}

#[tokio::test]
async fn an_answer_that_is_not_json_ends_its_execute() {
    let mut fixture = worker("odd").start().await;
    for how in ["a number that is none", "a raw control character"] {
        fixture.host.offer(odd(how));
        let failure = fixture.events.failure().await;
        assert_eq!(failure.kind, ErrorKind::ComponentFailed, "{how}");
        assert!(failure.message.starts_with("the output of `/echo` is refused: not JSON: "), "{}", failure.message);
        assert_next_is_served(&mut fixture).await;
    }
    fixture.host.offer(odd("an error that is not json"));
    assert_eq!(fixture.events.failure().await.kind, ErrorKind::WorkerError);
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn a_failure_with_data_that_is_no_value_stays_the_failure_that_it_is() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("a failure with such data"));
    let (_, Answer::Failed(failure)) = fixture.events.answer().await else { panic!("no failure") };
    assert_eq!((failure.error.code, failure.error.message.as_str(), failure.retryable), (7, "m", Some(false)));
    let data = Value::parse(r#"{"data":"refused: a key appears twice in one object: `$.a`"}"#).unwrap();
    assert_eq!(failure.error.data, Some(data));
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn a_request_with_a_key_that_stands_twice_is_refused_with_its_place() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("a blob with a key twice"));
    let error = fixture.events.output().await;
    assert_eq!(error.field("code"), Some(Value::from(-32602_i64)));
    assert_eq!(error.field("message").unwrap(), "a key appears twice in one object: `$.data[0].a`".into());
}

#[tokio::test]
async fn a_blob_may_be_as_deep_as_values_are() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("a blob as deep as values are"));
    assert_eq!(fixture.events.output().await, true.into());
}

#[tokio::test]
async fn a_blob_that_is_not_of_its_type_is_refused() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("blobs that are not of their type"));
    let refused = fixture.events.output().await.elements();
    let messages = [
        "`data` is not base64, as a blob of the type `binary` is: ",
        "`data` is of the type `number`: a blob of the type `binary` is a text in base64",
        "`data` is of the type `string`: a blob of the type `flow` is a flow document, an object",
        "`data` is not base64, as a blob of the type `binary` is: ",
    ];
    assert_eq!(refused.len(), messages.len());
    for (refusal, message) in refused.iter().zip(messages) {
        let [code, text] = &refusal.elements()[..] else { panic!("{refusal}") };
        assert_eq!(*code, Value::from(-32602_i64));
        assert!(text.text().unwrap().starts_with(message), "{text}");
    }
}

#[tokio::test]
async fn a_request_that_only_the_server_makes_is_refused() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("a request with the name of a notification"));
    assert_eq!(fixture.events.output().await, Value::from(-32601_i64));
}

#[tokio::test]
async fn half_a_line_is_no_answer_though_the_worker_says_that_all_assert_next_is_served() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("half a line"));
    let lost = lost(&mut fixture).await;
    assert!(lost.spends && lost.error.message.ends_with("exit status 0"), "{lost:?}");
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn an_answer_without_its_line_end_counts_when_the_worker_ends_after_it() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("half a line that is whole"));
    assert_eq!(fixture.events.output().await, Value::string("right"));
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn a_line_that_does_not_end_costs_its_worker() {
    let mut fixture = worker("odd").max_message(1 << 20).start().await;
    fixture.host.offer(odd("an endless line"));
    let lost = lost(&mut fixture).await;
    assert!(lost.error.message.contains("a line of more than "), "{}", lost.error.message);
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn a_child_that_lives_on_with_the_pipes_of_its_worker_holds_up_nobody() {
    let mut fixture = worker("odd").start().await;
    fixture.host.offer(odd("a child that lives on"));
    assert!(lost(&mut fixture).await.spends);
    assert_next_is_served(&mut fixture).await;
}

#[tokio::test]
async fn a_thousand_tasks_are_done_by_a_worker_that_takes_four() {
    let mut fixture = worker("out_of_order").start().await;
    let tasks: HashMap<TaskRef, Value> = (0..1000_i64)
        .map(|n| task("/echo", Value::from(n)))
        .map(|task| {
            fixture.host.offer(task.clone());
            (task.task, task.input)
        })
        .collect();
    let mut outputs = HashMap::new();
    while outputs.len() < tasks.len() {
        let (task, Answer::Success(output)) = fixture.events.answer().await else { panic!("not a success") };
        assert!(outputs.insert(task, output).is_none(), "answered twice");
    }
    assert_eq!(outputs, tasks);
}

/// Offers lost tasks again, as the engine does: an attempt may be lost three times, and suspects are separated.
async fn until_all_have_ended(fixture: &mut Fixture, tasks: &[TaskEnvelope]) -> Vec<bool> {
    let by_id: HashMap<_, _> = tasks.iter().map(|task| (task.task.task_id, task)).collect();
    let (mut spent, mut ended) = (HashMap::new(), HashMap::new());
    while ended.len() < tasks.len() {
        let (task, answer) = fixture.events.answer().await;
        let Answer::Lost(lost) = answer else {
            ended.insert(task.task_id, matches!(answer, Answer::Success(_)));
            continue;
        };
        let spent = spent.entry(task.task_id).or_insert(0);
        *spent += u32::from(lost.spends);
        if *spent > 3 {
            ended.insert(task.task_id, false);
        } else {
            let next = TaskRef { attempt: task.attempt + 1, ..task };
            fixture.host.offer(TaskEnvelope { task: next, suspects: lost.suspects, ..by_id[&task.task_id].clone() });
        }
    }
    tasks.iter().map(|task| ended[&task.task.task_id]).collect()
}

#[tokio::test]
async fn of_eleven_tasks_that_a_crash_took_down_only_the_one_that_crashed_fails() {
    let mut fixture = worker("poison").start().await;
    let tasks: Vec<TaskEnvelope> = (0..11).map(|n| odd(if n == 10 { "poison" } else { "healthy" })).collect();
    tasks.iter().for_each(|task| fixture.host.offer(task.clone()));
    let ended = until_all_have_ended(&mut fixture, &tasks).await;
    assert_eq!(ended, [[true; 10].as_slice(), &[false]].concat());
}

#[tokio::test]
async fn however_many_tasks_crash_the_others_succeed() {
    let mut fixture = worker("poison").start().await;
    let tasks: Vec<TaskEnvelope> = (0..40).map(|n| odd(if n % 5 == 4 { "poison" } else { "healthy" })).collect();
    tasks.iter().for_each(|task| fixture.host.offer(task.clone()));
    let ended = until_all_have_ended(&mut fixture, &tasks).await;
    assert_eq!(ended, (0..40).map(|n| n % 5 != 4).collect::<Vec<_>>());
}
