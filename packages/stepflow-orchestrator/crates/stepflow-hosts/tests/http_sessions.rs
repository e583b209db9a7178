//! Workers over HTTP that have sessions: what a session holds, and what is lost with it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http_fixture;
#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::time::Duration;

use http_fixture::{Fixture, at, peer, start, start_with};
use stepflow_engine::ports::{Answer, ComponentHost as _};
use stepflow_hosts::WorkerOptions;
use stepflow_protocol::Value;
use suite::{InboxEvent, Subject, in_time, task};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_sessions_passes_the_host_suite() {
    let (_peer, Fixture { host, events }) = start_with("http_sessions", &[]).await;
    suite::check(Subject { host: host.clone(), events, echo: "/echo", typed: "/typed" }).await;
    host.shutdown().await;
}

#[tokio::test]
async fn a_worker_that_is_silent_when_asked_for_a_session_has_none() {
    let (_peer, mut fixture) = start_with("http_sessions", &["--silent"]).await;
    fixture.host.offer(task("/where", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string(""));
}

#[tokio::test]
async fn a_session_has_all_messages_and_its_own_request_ids() {
    let peer = peer("http_sessions", &[]);
    let (mut one, mut other) = (start(at(&[peer.url()])).await, start(at(&[peer.url()])).await);
    for (fixture, session) in [(&mut one, "s1"), (&mut other, "s2")] {
        fixture.host.offer(task("/where", Value::null()));
        assert_eq!(fixture.events.output().await, Value::string(session));
    }
    one.host.offer(task("/mine", Value::from(1_u64)));
    other.host.offer(task("/mine", Value::from(2_u64)));
    let ids = [one.events.output().await, other.events.output().await].map(|reply| reply.field("result").unwrap());
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_lost_session_loses_its_attempts_and_is_renegotiated() {
    let (_peer, mut fixture) = start_with("http_sessions", &[]).await;
    fixture.host.offer(task("/leave", Value::null()));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(lost.spends, "it was alone: {lost:?}");
    fixture.host.offer(task("/where", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("s2"));
}

#[tokio::test]
async fn a_server_that_stops_has_its_executes_ended() {
    for args in [&[][..], &["--resume"]] {
        let peer = peer("http_sessions", args);
        // It does not wait so long: the worker answers before.
        let grace = Duration::from_secs(600);
        let mut fixture = start(WorkerOptions { shutdown_grace: grace, ..at(&[peer.url()]) }).await;
        for _ in 0..2 {
            fixture.host.offer(task("/wait", Value::null()));
            assert!(matches!(fixture.events.next().await, InboxEvent::Started(..)));
        }
        in_time("its worker is not asked", fixture.host.shutdown()).await;
        for _ in 0..2 {
            let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
            assert!(!lost.spends, "{lost:?}");
        }
        let mut next = start(at(&[peer.url()])).await;
        next.host.offer(task("/cancels", Value::null()));
        assert_eq!(next.events.output().await, Value::from(2_u64));
    }
}

#[tokio::test]
async fn a_lost_session_is_taken_up_again_where_the_worker_allows_that() {
    let (_peer, mut fixture) = start_with("http_sessions", &["--resume"]).await;
    fixture.host.offer(task("/leave", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("kept"));
    fixture.host.offer(task("/where", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("s1"));
}

#[tokio::test]
async fn a_session_that_is_not_taken_up_again_at_once_is_still_the_only_one() {
    let (_peer, mut fixture) = start_with("http_sessions", &["--resume", "--reluctant"]).await;
    fixture.host.offer(task("/leave", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("kept"));
    for (path, answer) in [("/where", Value::string("s1")), ("/asked", Value::from(2_u64))] {
        fixture.host.offer(task(path, Value::null()));
        assert_eq!(fixture.events.output().await, answer);
    }
    assert_eq!(fixture.host.instances().len(), 1);
}

#[tokio::test]
async fn a_stream_that_ends_at_once_whenever_it_is_asked_for_is_asked_for_in_peace() {
    let (_peer, mut fixture) = start_with("http_sessions", &["--resume", "--fickle"]).await;
    fixture.host.offer(task("/leave", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("kept"));
    for n in 0..300_u64 {
        fixture.host.offer(task("/echo", Value::from(n)));
        assert_eq!(fixture.events.output().await, Value::from(n));
    }
    fixture.host.offer(task("/asked", Value::null()));
    let asked: u64 = fixture.events.output().await.deserialize().unwrap();
    assert!(asked < 100, "{asked}");
}

#[tokio::test]
async fn what_a_worker_had_that_was_started_again_is_lost_together() {
    let (mut first, mut fixture) = start_with("http_sessions", &["--resume"]).await;
    (0..3).for_each(|_| fixture.host.offer(task("/wait", Value::null())));
    fixture.host.offer(task("/crash", Value::from(3_u64)));
    first.ended().await;
    let _second = peer("http_sessions", &["--resume", "--port", &first.port.to_string()]);
    for _ in 0..4 {
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
        assert_eq!((lost.suspects, lost.spends), (4, false), "{lost:?}");
    }
    fixture.host.offer(task("/where", Value::null()));
    assert_eq!(fixture.events.output().await, Value::string("s1001"));
}
