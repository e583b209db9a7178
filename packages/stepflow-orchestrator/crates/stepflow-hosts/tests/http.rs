//! Workers over HTTP that somebody else has started: small Python programs that speak raw bytes, in `workers/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http_fixture;
#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::sync::Arc;
use std::time::Duration;

use http_fixture::{Fixture, at, build, build_with, peer, start, start_error, start_with};
use stepflow_engine::ports::{Answer, ComponentHost as _};
use stepflow_hosts::{Health, StartError, WorkerOptions};
use stepflow_protocol::{ErrorKind, Value};
use suite::{Subject, json, task};
use worker_fixture::CountedBlobs;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_over_http_passes_the_host_suite() {
    for args in [&[][..], &["--legacy"]] {
        let (_peer, Fixture { host, events }) = start_with("http_echo", args).await;
        suite::check(Subject { host: host.clone(), events, echo: "/echo", typed: "/typed" }).await;
        host.shutdown().await;
    }
}

#[tokio::test]
async fn each_message_is_a_post_that_takes_json_and_streams() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/seen/a", json(r#"{"x": 1.50}"#)));
    let seen = fixture.events.output().await;
    let header = |name: &str| seen.field("headers").unwrap().field(name).unwrap().text().unwrap();
    assert_eq!(seen.field("target"), Some(Value::string("/")));
    assert_eq!(header("accept"), "application/json, text/event-stream");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(seen.field("params").unwrap().field("input"), Some(json(r#"{"x":1.5}"#)));
}

#[tokio::test]
async fn the_workers_requests_come_on_its_stream_and_are_answered_by_posts_to_its_process() {
    for accepted in ["\"\"", "", "{", "null", "<html>"] {
        let (_peer, mut fixture) = start_with("http_echo", &["--accepted", accepted]).await;
        fixture.host.offer(task("/blob", json(r#"{"a":[1]}"#)));
        let replies = fixture.events.output().await;
        let got = &replies.elements()[1];
        assert_eq!(got.elements()[0].field("id"), Some(Value::from(2_u64)));
        assert_eq!(got.elements()[0].field("result").unwrap().field("data"), Some(json(r#"{"a":[1]}"#)));
        assert_eq!(got.elements()[1], Value::string("it-is-me"), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_stream_may_come_in_any_pieces() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/split", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("é🦀"));
}

#[tokio::test]
async fn line_breaks_between_the_tokens_of_an_answer_are_taken_out() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/newlines", Value::null()));
    assert_eq!(fixture.events.output().await.as_str(), r#"{"a":1}"#);
}

#[tokio::test]
async fn a_second_answer_changes_nothing() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/twice", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("first"));
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
}

#[tokio::test]
async fn a_stream_that_ends_before_the_answer_loses_its_attempt_alone() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/hold", Value::null()));
    for path in ["/cut", "/half"] {
        fixture.host.offer(task(path, Value::null()));
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost: {path}") };
        assert!(lost.spends && lost.error.kind == ErrorKind::Unreachable, "{lost:?}");
    }
    fixture.host.offer(task("/echo", Value::string("release")));
    let outputs = [fixture.events.output().await, fixture.events.output().await];
    assert!(outputs.contains(&Value::string("held")), "{outputs:?}");
}

#[tokio::test]
async fn a_lost_attempt_does_not_tell_what_a_variable_has_put_into_the_address() {
    let peer = peer("http_echo", &[]);
    let filled_in = vec![("127.0.0.1".to_owned(), "WORKER".to_owned())];
    let mut fixture = start(WorkerOptions { filled_in, ..at(&[peer.url()]) }).await;
    fixture.host.offer(task("/cut", Value::null()));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    let told = lost.error.message;
    assert!(told.contains("at `http://${WORKER}:") && !told.contains("127.0.0.1"), "{told}");
}

#[tokio::test]
async fn an_answer_that_drips_blocks_nobody() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/drip", Value::null()));
    fixture.host.offer(task("/echo", Value::string("release")));
    let outputs = [fixture.events.output().await, fixture.events.output().await];
    assert!(outputs.contains(&Value::string("slow")) && outputs.contains(&Value::string("released")), "{outputs:?}");
}

#[tokio::test]
async fn what_servers_say_instead_of_an_answer_fails_the_step_in_their_words() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    for (status, body, said) in [
        (400, r#"{"error":{"code":-32600,"message":"Failed to decode"}}"#, "HTTP 400 Bad Request: Failed to decode"),
        (406, r#"{"error":"Accept header must include both"}"#, "HTTP 406 Not Acceptable: Accept header must"),
        (415, r#"{"detail":"no"}"#, "HTTP 415 Unsupported Media Type: no"),
        (500, "<html><body>oops", "HTTP 500 Internal Server Error: a page of HTML"),
        (200, "hello", "does not belong to the request"),
        (200, "", "it took the request and said no more"),
        (200, r#"{"id":99,"result":{"output":1}}"#, "does not belong to the request"),
    ] {
        let answer = Value::object([("status", Value::from(status as u64)), ("body", Value::string(body))]);
        fixture.host.offer(task("/refused", answer));
        let failure = fixture.events.failure().await;
        assert_eq!(failure.kind, ErrorKind::WorkerError);
        assert!(failure.message.contains(said), "{}", failure.message);
    }
}

#[tokio::test]
async fn an_answer_counts_whatever_its_status() {
    let (_peer, mut fixture) = start_with("http_echo", &["--legacy"]).await;
    // The id of the first execute: the handshake has used two ids.
    let body = r#"{"id":3,"error":{"code":-32603,"message":"in its own words"},"jsonrpc":"2.0"}"#;
    fixture
        .host
        .offer(task("/refused", Value::object([("status", Value::from(500_u64)), ("body", Value::string(body))])));
    assert_eq!(fixture.events.failure().await.message, "in its own words");
}

#[tokio::test]
async fn a_gateway_that_lost_the_worker_loses_the_attempt() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    for status in [502_u64, 504] {
        let answer = Value::object([("status", Value::from(status)), ("body", Value::string("bad gateway"))]);
        fixture.host.offer(task("/refused", answer));
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
        assert!(lost.error.message.contains("bad gateway"), "{}", lost.error.message);
    }
}

#[tokio::test]
async fn a_worker_that_is_not_available_costs_an_attempt_and_a_wait() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    for (status, said) in [(503_u64, "HTTP 503 Service Unavailable"), (429, "HTTP 429 Too Many Requests")] {
        let answer = Value::object([("status", Value::from(status)), ("body", Value::string("later"))]);
        fixture.host.offer(task("/refused", answer));
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
        assert!(lost.spends && lost.back_off && lost.error.kind == ErrorKind::Unreachable, "{lost:?}");
        assert!(lost.error.message.ends_with(&format!("did not take the step: {said}: later")), "{lost:?}");
    }
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
}

#[tokio::test]
async fn a_worker_that_says_with_a_status_that_it_does_not_accept_costs_nothing() {
    let (draining, other) = (peer("http_echo", &["--draining"]), peer("http_echo", &[]));
    let mut fixture = start(at(&[draining.url(), other.url()])).await;
    fixture.host.all_started().await;
    for n in 0..4_u64 {
        fixture.host.offer(task("/echo", Value::from(n)));
        assert_eq!(fixture.events.output().await, Value::from(n));
    }
}

#[tokio::test]
async fn the_token_is_shown_to_the_worker() {
    let peer = peer("http_echo", &["--token", "secret"]);
    let mut options = at(&[peer.url()]);
    options.token = Some("secret".to_owned());
    let mut fixture = start(options).await;
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
}

#[tokio::test]
async fn a_wrong_token_is_a_start_error_that_says_so() {
    let peer = peer("http_echo", &["--token", "secret"]);
    let error = start_error(at(&[peer.url()])).await;
    assert!(matches!(error, StartError::NotAWorker { .. }), "{error:?}");
    assert!(error.to_string().contains("the plugin's `token` has to be the worker's"), "{error}");
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_a_start_error_that_names_it() {
    let gone = peer("http_echo", &[]).url();
    let error = start_error(at(std::slice::from_ref(&gone))).await;
    assert!(matches!(&error, StartError::Unreached { url, .. } if *url == gone), "{error:?}");
    assert!(error.to_string().ends_with("hint: start it, or correct the plugin's `url`"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_no_longer_needed_is_closed() {
    let (_peer, mut fixture) = start_with("http_echo", &[]).await;
    fixture.host.offer(task("/closed", Value::null()));
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
    assert_eq!(fixture.events.output().await, Value::string("closed"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_worker_whose_machine_says_nothing_is_asked_whether_it_is_there() {
    let (peer, _fixture) = start_with("http_sessions", &[]).await;
    let to_it = format!(":{:04X}", peer.port);
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let columns = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Established; the next thing that the kernel does is a keep-alive probe.
    let timers: Vec<_> =
        columns.filter(|row| row[2].ends_with(&to_it) && row[3] == "01").map(|row| row[5].to_owned()).collect();
    assert!(!timers.is_empty() && timers.iter().all(|timer| timer.starts_with("02:")), "{timers:?}");
}

#[tokio::test]
async fn an_answer_to_the_worker_that_is_lost_on_its_way_is_sent_again() {
    let (_peer, mut fixture) = start_with("http_sessions", &[]).await;
    fixture.host.offer(task("/missed", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await.field("id"), Some(Value::string("missed")));
}

#[tokio::test]
async fn an_execute_whose_answer_the_worker_does_not_take_is_lost() {
    let (_peer, mut fixture) = start_with("http_sessions", &[]).await;
    fixture.host.offer(task("/refuses", Value::from(1_u64)));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(lost.error.message.ends_with("what it asked for did not reach it: HTTP 400 Bad Request: no"), "{lost:?}");
}

#[tokio::test]
async fn a_worker_that_is_restarted_gets_the_tasks_that_waited() {
    let (mut first, mut fixture) = start_with("http_echo", &[]).await;
    let port = first.port.to_string();
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
    first.kill();
    fixture.host.offer(task("/echo", Value::from(2_u64)));
    let _second = peer("http_echo", &["--port", &port]);
    assert_eq!(fixture.events.output().await, Value::from(2_u64));
}

#[tokio::test]
async fn a_worker_that_goes_in_the_middle_loses_its_attempt() {
    let (mut peer, mut fixture) = start_with("http_echo", &[]).await;
    let held = task("/hold", Value::null());
    fixture.host.offer(held.clone());
    fixture.host.offer(task("/echo", Value::null()));
    fixture.events.output().await;
    peer.kill();
    let (lost, answer) = fixture.events.answer().await;
    assert_eq!(lost, held.task);
    assert!(matches!(answer, Answer::Lost(lost) if lost.spends), "a connection that broke off spends");
}

#[tokio::test]
async fn of_several_addresses_those_that_answer_do_the_work() {
    let gone = peer("http_echo", &[]).url();
    let there = peer("http_echo", &[]);
    let mut fixture = start(at(&[gone, there.url()])).await;
    for n in 0..20_u64 {
        fixture.host.offer(task("/echo", Value::from(n)));
    }
    for _ in 0..20 {
        fixture.events.output().await;
    }
    assert_eq!(fixture.host.health(), Health::Ready);
}

#[tokio::test]
async fn of_several_addresses_each_gets_what_it_serves() {
    let (one, other) = (peer("http_echo", &["--only", "/echo"]), peer("http_echo", &["--only", "/seen/{*rest}"]));
    let mut fixture = start(at(&[one.url(), other.url()])).await;
    fixture.host.all_started().await;
    assert_eq!(fixture.host.components().len(), 2);
    for path in ["/echo", "/seen/a"].repeat(8) {
        assert!(fixture.host.resolve(path, &Value::null()).is_ok(), "{path}");
        fixture.host.offer(task(path, Value::null()));
    }
    for _ in 0..16 {
        fixture.events.output().await;
    }
}

#[tokio::test]
async fn a_task_whose_worker_is_gone_goes_to_another_and_spends_nothing() {
    let (mut first, second) = (peer("http_echo", &[]), peer("http_echo", &[]));
    let mut fixture = start(at(&[first.url(), second.url()])).await;
    first.kill();
    for n in 0..16_u64 {
        fixture.host.offer(task("/echo", Value::from(n)));
        assert_eq!(fixture.events.output().await, Value::from(n));
    }
}

#[tokio::test]
async fn an_address_that_comes_to_life_later_joins() {
    let mut late = peer("http_echo", &[]);
    let (url, port) = (late.url(), late.port.to_string());
    late.kill();
    let fixture = build(at(&[url]));
    assert!(fixture.host.start().await.is_err());
    assert!(matches!(fixture.host.health(), Health::Down(_)));
    let _late = peer("http_echo", &["--port", &port]);
    suite::until("it does not join", || fixture.host.health() == Health::Ready).await;
}

#[tokio::test]
async fn a_cancel_reaches_a_worker_that_understands_it() {
    let (_peer, mut fixture) = start_with("http_sessions", &[]).await;
    let waiting = task("/wait", Value::null());
    fixture.host.offer(waiting.clone());
    fixture.host.cancel(&waiting.route, waiting.address(), "enough");
    assert_eq!(fixture.events.answer().await, (waiting.task, Answer::Cancelled));
    fixture.host.offer(task("/where", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("s1"));
}

#[tokio::test]
async fn a_worker_that_understands_a_cancel_keeps_its_slot_until_it_answers() {
    let peer = peer("http_sessions", &[]);
    let mut options = at(&[peer.url()]);
    options.cancel_grace = Duration::from_millis(10);
    let mut fixture = start(options).await;
    let late = task("/late", Value::null());
    fixture.host.offer(late.clone());
    fixture.host.cancel(&late.route, late.address(), "enough");
    assert_eq!(fixture.events.answer().await, (late.task, Answer::Success(Value::string("late"))));
}

#[tokio::test]
async fn a_cancelled_execute_of_a_worker_that_understands_no_cancel_is_broken_off() {
    let peer = peer("http_echo", &[]);
    let mut options = at(&[peer.url()]);
    options.cancel_grace = Duration::from_millis(10);
    let mut fixture = start(options).await;
    let held = task("/hold", Value::null());
    fixture.host.offer(held.clone());
    fixture.host.cancel(&held.route, held.address(), "enough");
    assert_eq!(fixture.events.answer().await, (held.task, Answer::Cancelled));
    assert_eq!(fixture.host.instances()[0].open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_takes_no_answers_has_few_of_them_made() {
    let blobs = Arc::new(CountedBlobs::default());
    let peer = peer("http_sessions", &[]);
    let mut fixture = build_with(at(&[peer.url()]), blobs.clone());
    fixture.host.offer(task("/flood", 200_u64.into()));
    fixture.host.offer(task("/flooded", Value::null()));
    assert_eq!(fixture.events.output().await, Value::null());
    // Without a limit all answers are made at once, each with its mebibyte.
    let all = async {
        while blobs.got() < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), all).await.is_err(), "{}", blobs.got());
    assert!(blobs.got() < 80, "{}", blobs.got());
    fixture.host.offer(task("/release", Value::null()));
    assert_eq!(fixture.events.output().await, Value::null());
    assert_eq!(fixture.events.output().await, 200_u64.into());
}
