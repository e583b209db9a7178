//! Workers at addresses that are not up: their tasks wait, but not for ever.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod http_fixture;
#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::sync::Arc;
use std::time::Duration;

use http_fixture::{at, build, peer, start};
use stepflow_engine::ports::{Answer, ComponentHost, Target, TaskEnvelope};
use stepflow_hosts::{Health, Router, Rule, WorkerOptions};
use stepflow_protocol::{ErrorKind, Value};
use suite::task;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn a_task_waits_for_an_address_that_comes_to_life_later() {
    let mut late = peer("http_echo", &[]);
    let (url, port) = (late.url(), late.port.to_string());
    late.kill();
    let mut fixture = build(WorkerOptions { patience: LONG, ..at(&[url]) });
    assert!(fixture.host.start().await.is_err());
    assert_eq!(fixture.host.resolve("/echo", &Value::null()), Ok(Target::Undecided), "its components are not known");
    fixture.host.offer(task("/echo", Value::from(1_u64)));
    suite::until("it says nothing", || matches!(fixture.host.health(), Health::Awaited(why) if why.contains("url")))
        .await;
    let _late = peer("http_echo", &["--port", &port]);
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
}

#[tokio::test]
async fn a_task_does_not_wait_longer_than_it_may() {
    let gone = peer("http_echo", &[]).url();
    let mut fixture = build(WorkerOptions { patience: Duration::from_millis(20), ..at(&[gone]) });
    fixture.host.offer(task("/echo", Value::null()));
    fixture.host.offer(TaskEnvelope { recovers: true, ..task("/echo", Value::null()) });
    for _ in 0..2 {
        let (_, Answer::Failed(failure)) = fixture.events.answer().await else { panic!("it has not failed") };
        assert_eq!(failure.error.kind, ErrorKind::Unreachable);
    }
    fixture.host.decided("/echo").await;
    assert!(fixture.host.resolve("/echo", &Value::null()).is_err());
}

#[tokio::test]
async fn a_path_is_decided_although_another_plugin_that_may_have_it_is_down() {
    let there = peer("http_echo", &[]);
    let gone = peer("http_echo", &[]).url();
    let up = build(WorkerOptions { patience: LONG, ..at(&[there.url()]) });
    let down = build(WorkerOptions { patience: LONG, ..at(&[gone]) });
    let plugins = [("down", &down), ("up", &up)];
    let plugins = plugins.map(|(name, plugin)| (name.to_owned(), Arc::clone(&plugin.host) as Arc<dyn ComponentHost>));
    let rules = vec![Rule::to("up"), Rule::to("down")];
    let router = Router::new(plugins.into(), [("/".to_owned(), rules)], suite::inbox().0).unwrap();
    assert_eq!(router.resolve("/echo", &Value::null()), Ok(Target::Undecided));
    suite::in_time("it waits for the plugin that is down", router.decided("/echo")).await;
    let found = router.resolve("/echo", &Value::null());
    assert!(matches!(&found, Ok(Target::Component { route, .. }) if route.plugin == "up"), "{found:?}");
}

#[tokio::test]
async fn a_task_waits_for_a_worker_that_was_lost() {
    let mut first = peer("http_echo", &[]);
    let mut fixture = start(WorkerOptions { patience: LONG, ..at(&[first.url()]) }).await;
    let port = first.port.to_string();
    first.kill();
    fixture.host.offer(task("/echo", Value::from(2_u64)));
    suite::until("it is not missed", || matches!(fixture.host.health(), Health::Awaited(_))).await;
    let _second = peer("http_echo", &["--port", &port]);
    assert_eq!(fixture.events.output().await, Value::from(2_u64));
}
