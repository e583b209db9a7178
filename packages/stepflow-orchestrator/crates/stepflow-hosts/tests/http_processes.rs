//! Workers over HTTP that the host starts itself.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::time::Duration;

use stepflow_engine::ports::{Answer, ComponentHost as _};
use stepflow_hosts::{StartError, Transport};
use stepflow_protocol::Value;
use suite::{Subject, json, task};
use worker_fixture::{Fixture, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_first_line_names_a_port_passes_the_host_suite() {
    let Fixture { host, events, .. } = worker("http_echo").start().await;
    suite::check(Subject { host: host.clone(), events, echo: "/echo", typed: "/typed" }).await;
    assert_eq!(host.transport(), "http");
    host.shutdown().await;
}

#[tokio::test]
async fn a_process_that_serves_http_may_write_what_it_wants_and_close_its_stdout() {
    let mut fixture = worker("http_echo").args(&["--noise"]).transport(Transport::Http).start().await;
    for n in 0..3_u64 {
        fixture.host.offer(task("/echo", Value::from(n)));
        assert_eq!(fixture.events.output().await, Value::from(n));
    }
}

#[tokio::test]
async fn a_process_is_asked_until_it_is_up() {
    let mut fixture = worker("http_echo").args(&["--unwell", "3"]).start().await;
    fixture.host.offer(task("/echo", Value::null()));
    assert_eq!(fixture.events.output().await, Value::null());
}

#[tokio::test]
async fn a_process_that_is_never_up_is_a_start_error_that_says_what_was_seen() {
    let unwell = worker("http_echo").args(&["--unwell", "1000000"]).health_timeout(Duration::from_millis(200));
    let error = unwell.start_error().await;
    assert!(matches!(error, StartError::NotUp { .. }), "{error:?}");
    assert!(error.to_string().contains("`/health`") && error.to_string().contains("HTTP 503"), "{error}");
}

#[tokio::test]
async fn a_process_started_with_a_token_knows_it() {
    let mut fixture = worker("environment").token("secret").start().await;
    fixture.host.offer(task("/echo", Value::null()));
    let env = fixture.events.output().await.field("env").unwrap();
    assert_eq!(env.field("STEPFLOW_WORKER_TOKEN"), Some(Value::string("secret")));
}

#[tokio::test]
async fn a_process_that_crashes_loses_its_attempt_and_is_replaced() {
    let mut fixture = worker("http_echo").start().await;
    fixture.host.offer(task("/die", Value::null()));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(lost.spends && lost.error.message.contains("exit status 3"), "{lost:?}");
    fixture.host.offer(task("/echo", json("[1]")));
    assert_eq!(fixture.events.output().await, json("[1]"));
}

#[tokio::test]
async fn the_neighbours_of_a_crash_are_suspects_and_spend_nothing() {
    let mut fixture = worker("http_echo").start().await;
    fixture.host.offer(task("/hold", Value::null()));
    fixture.host.offer(task("/die", Value::null()));
    for _ in 0..2 {
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
        assert!(lost.suspects == 2 && !lost.spends, "{lost:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_serves_http() {
    let fixture = worker("http_sessions").start().await;
    assert_eq!(fixture.processes(), 1);
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}
