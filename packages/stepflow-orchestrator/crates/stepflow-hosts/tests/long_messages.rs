//! Messages that are longer than one may be: the step fails, with the size and the limit, and its worker goes on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http_fixture;
#[allow(dead_code)]
mod suite;
mod worker_fixture;

use http_fixture::{at, peer, start};
use stepflow_engine::ports::{Answer, ComponentHost as _, Failure};
use stepflow_hosts::WorkerHost;
use stepflow_protocol::{ErrorKind, Value};
use suite::{InboxEvents, task};
use worker_fixture::{Builder, worker};

const LIMIT: usize = 50_000;
const LONG: u64 = 60_000;

fn long() -> Builder {
    worker("long").max_message(LIMIT)
}

/// The error of a step whose message is too long. Also checks that it is not retried and that its worker is still
/// there.
async fn refusal(host: &WorkerHost, events: &mut InboxEvents, component: &str) -> String {
    let before = host.instances();
    host.offer(task(component, LONG.into()));
    let (_, Answer::Failed(Failure { error, retryable, .. })) = events.answer().await else { panic!("no failure") };
    assert_eq!((error.kind, retryable), (ErrorKind::ComponentFailed, Some(false)), "{error:?}");
    assert_eq!(host.instances(), before, "{component}");
    error.message
}

#[tokio::test]
async fn an_output_that_is_too_long_fails_its_step_alone() {
    let mut fixture = long().start().await;
    let message = refusal(&fixture.host, &mut fixture.events, "/output").await;
    assert!(message.starts_with("a message to or from `/output` is too long: it has 600"), "{message}");
    assert!(message.contains(" bytes, and a message may have 50000 (`maxMessageSize`): "), "{message}");
    fixture.host.offer(task("/output", 3_u64.into()));
    assert_eq!(fixture.events.output().await, "xxx".into());
}

#[tokio::test]
async fn an_input_that_is_too_long_is_refused_before_it_is_offered() {
    for host in [long().start().await.host, long().build().host] {
        let input = Value::string(&"x".repeat(LIMIT));
        let error = host.resolve("/output", &input).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("and a message may have 50000"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused() {
    let mut fixture = long().start().await;
    fixture.host.offer(task("/put", LONG.into()));
    let reply = fixture.events.output().await;
    assert_eq!(reply.field("id"), Some("put".into()));
    let error = reply.field("error").unwrap();
    assert_eq!(error.field("code"), Some(Value::from(-32600_i64)));
    assert!(error.field("message").unwrap().text().unwrap().contains("bytes, and a message may have 50000"), "{error}");
}

#[tokio::test]
async fn of_an_answer_that_is_too_long_the_worker_is_told() {
    let mut fixture = long().start().await;
    fixture.host.offer(task("/get", (LIMIT as u64 - 200).into()));
    let message = fixture.events.output().await.field("message").unwrap().text().unwrap();
    assert!(message.starts_with("the answer to `blobs/get` is too long: it has "), "{message}");
}

#[tokio::test]
async fn over_http_an_answer_that_is_too_long_fails_its_step_alone() {
    for args in [&[][..], &["--resume"]] {
        let peer = peer("http_long", args);
        let mut options = at(&[peer.url()]);
        options.max_message = LIMIT;
        let mut fixture = start(options).await;
        for (component, size) in
            [("/body", "600"), ("/chunks", "more than 50000"), ("/event", "more than "), ("/put", "more than ")]
        {
            let message = refusal(&fixture.host, &mut fixture.events, component).await;
            assert!(message.contains(&format!(" too long: it has {size}")), "{message}");
            // The worker does not have to finish its other work.
            fixture.host.offer(task("/cancelled", 1_u64.into()));
            fixture.events.output().await;
        }
    }
}

#[tokio::test]
async fn a_message_that_a_workers_server_finds_too_long_fails_its_step_at_once() {
    for args in [&[][..], &["--resume"]] {
        let peer = peer("http_long", args);
        let mut fixture = start(at(&[peer.url()])).await;
        let message = refusal(&fixture.host, &mut fixture.events, "/get").await;
        assert!(message.contains("the worker's server answered HTTP 413 Payload Too Large: too much"), "{message}");
        for length in [200_000, 5_000_000] {
            let long = task("/echo", Value::string(&"x".repeat(length)));
            fixture.host.offer(long);
            let error = fixture.events.failure().await;
            assert!(error.message.contains("HTTP 413 Payload Too Large: too much"), "{}", error.message);
        }
    }
}
