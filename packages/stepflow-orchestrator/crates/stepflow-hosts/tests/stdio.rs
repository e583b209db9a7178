//! Workers on stdio: small Python programs that speak raw lines, in `workers/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod suite;
mod worker_fixture;

use std::time::Duration;

use stepflow_engine::ports::{Answer, ComponentHost as _};
use stepflow_hosts::{Health, Transport};
use stepflow_protocol::{ErrorKind, Value};
use suite::{InboxEvent, Subject, json, task};
use worker_fixture::{CountedBlobs, Fixture, worker};

#[tokio::test(flavor = "multi_thread")]
async fn a_stdio_worker_passes_the_host_suite() {
    let Fixture { host, events, .. } = worker("echo").start().await;
    suite::check(Subject { host: host.clone(), events, echo: "/echo", typed: "/typed" }).await;
    host.shutdown().await;
}

#[tokio::test]
async fn a_legacy_worker_passes_the_host_suite() {
    let Fixture { host, events, .. } = worker("echo").args(&["--legacy"]).start().await;
    suite::check(Subject { host: host.clone(), events, echo: "/echo", typed: "/typed" }).await;
    host.shutdown().await;
}

#[tokio::test]
async fn what_looks_like_a_port_is_noise_where_the_transport_is_stdio_and_after_the_first_line() {
    let configured = worker("echo").args(&["--banner"]).transport(Transport::Stdio);
    for builder in [configured, worker("echo").args(&["--late-banner"])] {
        let mut fixture = builder.start().await;
        fixture.host.offer(task("/echo", Value::null()));
        assert_eq!(fixture.events.output().await, Value::null());
        assert_eq!(fixture.host.transport(), "stdio");
    }
}

#[tokio::test]
async fn the_execute_carries_all_that_the_protocol_names() {
    let mut fixture = worker("echo").start().await;
    let mut offered = task("/seen/a/b", json(r#"{"x": 1.50}"#));
    offered.timeout = Some(Duration::from_secs(30));
    offered.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    fixture.host.offer(offered.clone());
    let seen = fixture.events.output().await;
    let text = |name: &str| seen.field(name).and_then(|value| value.text());
    assert_eq!(text("component").as_deref(), Some("/seen/a/b"));
    assert_eq!(text("task_id"), Some(offered.task.task_id.to_string()));
    assert_eq!(seen.field("input"), Some(json(r#"{"x":1.5}"#)));
    assert_eq!(seen.field("attempt"), Some(Value::from(1_u64)));
    assert_eq!(seen.field("deadline_ms"), Some(Value::from(30_000_u64)));
    let context = seen.field("observability").unwrap();
    let member = |name: &str| context.field(name).and_then(|value| value.text()).unwrap();
    assert_eq!(member("trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(member("span_id"), "b7ad6b7169203331");
    assert_eq!(member("run_id"), offered.run_id.to_string());
    assert_eq!(member("root_run_id"), offered.root_run_id.to_string());
    assert_eq!(member("flow_id"), offered.flow_id.to_string());
    assert_eq!(member("step_id"), offered.step_id);
}

#[tokio::test]
async fn a_worker_keeps_and_gets_blobs() {
    let mut fixture = worker("echo").start().await;
    fixture.host.offer(task("/blob", json(r#"{"x":1}"#)));
    let id = "5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22";
    let replies = fixture.events.output().await.elements();
    assert_eq!(replies[0].field("id"), Some(Value::string("mine-1")));
    assert_eq!(replies[0].field("result").unwrap().field("blob_id"), Some(Value::string(id)));
    assert_eq!(replies[1].field("result").unwrap().field("data").unwrap().field("x"), Some(Value::from(1_u64)));
    assert_eq!(replies[1].field("result").unwrap().field("blob_type"), Some(Value::string("data")));
}

#[tokio::test]
async fn a_request_that_cannot_be_served_is_refused() {
    let mut fixture = worker("echo").start().await;
    fixture.host.offer(task("/bad_request", Value::null()));
    assert_eq!(fixture.events.output().await, json("[-32601,-32000,-32602]"));
}

#[tokio::test]
async fn answers_may_come_in_any_order() {
    let mut fixture = worker("out_of_order").start().await;
    let tasks: Vec<_> = (0..4_i64).map(|n| task("/echo", Value::from(n))).collect();
    for task in &tasks {
        fixture.host.offer(task.clone());
    }
    for expected in tasks.iter().rev() {
        assert_eq!(fixture.events.answer().await, (expected.task, Answer::Success(expected.input.clone())));
    }
}

#[tokio::test]
async fn a_worker_never_has_more_than_its_capacity() {
    let mut fixture = worker("hold").start().await;
    let (held, waiting) = (task("/echo", Value::string("hold")), task("/echo", Value::null()));
    fixture.host.offer(held.clone());
    fixture.host.offer(waiting.clone());
    assert!(matches!(fixture.events.next().await, InboxEvent::Started(task, _) if task == held.task));
    assert!(fixture.events.is_silent(), "the second task has to wait");
    fixture.host.cancel(&held.route, held.address(), "enough");
    assert_eq!(fixture.events.answer().await, (held.task, Answer::Cancelled));
    assert!(matches!(fixture.events.next().await, InboxEvent::Started(task, _) if task == waiting.task));
    assert_eq!(fixture.events.answer().await, (waiting.task, Answer::Success(Value::null())));
}

#[tokio::test]
async fn the_config_caps_what_a_worker_announces() {
    let mut fixture = worker("echo").max_concurrency(1).start().await;
    for n in 0..20_i64 {
        fixture.host.offer(task("/echo", Value::from(n)));
    }
    for _ in 0..20 {
        assert!(matches!(fixture.events.next().await, InboxEvent::Started(..)));
        assert!(matches!(fixture.events.next().await, InboxEvent::Answer(..)));
    }
}

#[tokio::test]
async fn an_output_that_is_not_the_declared_one_is_a_failure_of_the_component() {
    let mut fixture = worker("echo").validate_outputs().start().await;
    fixture.host.offer(task("/numbered/a", json(r#"{"n":1}"#)));
    assert_eq!(fixture.events.output().await, json(r#"{"n":1}"#));
    fixture.host.offer(task("/numbered/a", json(r#"{"n":"a secret"}"#)));
    let Answer::Failed(failure) = fixture.events.answer().await.1 else { panic!("it was not checked") };
    let error = failure.error;
    assert_eq!((error.kind, error.code), (ErrorKind::ComponentFailed, 500));
    assert_eq!(error.message, "the output of `/numbered/a` does not fit: `/n`: expected integer, found string");
    let data = error.data.unwrap();
    let text = |name: &str| data.field(name).and_then(|value| value.text());
    assert_eq!(text("path").as_deref(), Some("/n"));
    assert_eq!(text("expected").as_deref(), Some("integer"));
    assert_eq!(text("found").as_deref(), Some("string"));
    assert!(!data.to_string().contains("secret"), "{data}");
    assert_eq!(failure.retryable, None, "the step decides whether it is tried again");
}

#[tokio::test]
async fn outputs_without_a_schema_errors_and_unknown_paths_are_left_alone() {
    let mut fixture = worker("echo").validate_outputs().start().await;
    for path in ["/echo", "/not_listed"] {
        fixture.host.offer(task(path, json("[1]")));
        assert_eq!(fixture.events.output().await, json("[1]"), "{path}");
    }
    fixture.host.offer(task("/error", json(r#"{"code":-32003,"message":"its own"}"#)));
    assert_eq!(fixture.events.failure().await.message, "its own");
}

#[tokio::test]
async fn outputs_are_not_checked_unless_that_is_asked_for() {
    let mut fixture = worker("echo").start().await;
    fixture.host.offer(task("/numbered/a", json("[]")));
    assert_eq!(fixture.events.output().await, json("[]"));
}

#[tokio::test]
async fn a_waiting_task_is_cancelled_at_once() {
    let mut fixture = worker("hold").start().await;
    let (held, waiting) = (task("/echo", Value::string("hold")), task("/echo", Value::null()));
    fixture.host.offer(held.clone());
    fixture.host.offer(waiting.clone());
    fixture.host.cancel(&waiting.route, waiting.address(), "enough");
    assert_eq!(fixture.events.answer().await, (waiting.task, Answer::Cancelled));
}

#[tokio::test]
async fn an_error_means_what_the_protocol_says() {
    let mut fixture = worker("echo").start().await;
    for (error, kind, code) in [
        (r#"{"code":-32001,"message":"m"}"#, ErrorKind::ComponentNotFound, 404),
        (r#"{"code":-32002,"message":"m","data":{"path":"/x"}}"#, ErrorKind::InvalidInput, 400),
        (r#"{"code":-32003,"message":"m","data":{"type":"ValueError"}}"#, ErrorKind::ComponentFailed, 500),
        (r#"{"code":-32003,"message":"m","data":{"type":"E","code":42}}"#, ErrorKind::ComponentFailed, 42),
        (r#"{"code":-32004,"message":"m"}"#, ErrorKind::Timeout, 504),
        (r#"{"code":-32000,"message":"m"}"#, ErrorKind::WorkerError, 520),
        (r#"{"code":7,"message":"m"}"#, ErrorKind::WorkerError, 520),
    ] {
        fixture.host.offer(task("/error", json(error)));
        let failure = fixture.events.failure().await;
        assert_eq!((failure.kind, failure.code, failure.message.as_str()), (kind, code, "m"), "{error}");
    }
}

#[tokio::test]
async fn a_component_says_what_is_to_happen_next() {
    let mut fixture = worker("echo").start().await;
    let error = r#"{"code":-32003,"message":"full","data":{
        "type":"QuotaError","traceback":"Traceback…","retryable":false,"retry_after":1.5,"data":{"left":0}}}"#;
    fixture.host.offer(task("/error", json(error)));
    let (_, Answer::Failed(failure)) = fixture.events.answer().await else { panic!("no failure") };
    assert_eq!((failure.retryable, failure.retry_after), (Some(false), Some(Duration::from_millis(1500))));
    let shown = json(r#"{"type":"QuotaError","traceback":"Traceback…","data":{"left":0}}"#);
    assert_eq!(failure.error.data, Some(shown));
}

#[tokio::test]
async fn of_a_legacy_worker_only_not_found_is_believed() {
    let mut fixture = worker("echo").args(&["--legacy"]).start().await;
    for (code, kind) in [
        (-32001, ErrorKind::ComponentNotFound),
        (-32002, ErrorKind::ComponentFailed),
        (-32005, ErrorKind::ComponentFailed),
    ] {
        fixture.host.offer(task("/error", json(&format!(r#"{{"code":{code},"message":"m","data":{{}}}}"#))));
        assert_eq!(fixture.events.failure().await.kind, kind, "{code}");
    }
}

#[tokio::test]
async fn a_pattern_of_the_worker_is_resolved() {
    let fixture = worker("echo").start().await;
    assert!(fixture.host.resolve("/seen/a/b", &Value::null()).is_ok());
    assert!(fixture.host.resolve("/seen", &Value::null()).is_err());
}

#[tokio::test]
async fn a_schema_that_is_not_usable_checks_nothing() {
    let fixture = worker("echo").start().await;
    assert!(fixture.host.resolve("/unchecked", &Value::null()).is_ok());
}

#[tokio::test]
async fn what_is_no_message_is_skipped() {
    let mut fixture = worker("garbage").start().await;
    for n in 0..3_i64 {
        fixture.host.offer(task("/echo", Value::from(n)));
        assert_eq!(fixture.events.output().await, Value::from(n));
    }
}

#[tokio::test]
async fn a_value_of_many_megabytes_passes() {
    let mut fixture = worker("echo").start().await;
    let big = Value::string(&"0123456789abcdef".repeat(1 << 20));
    fixture.host.offer(task("/echo", big.clone()));
    assert!(fixture.events.output().await == big);
}

#[tokio::test]
async fn a_worker_that_writes_before_it_reads_blocks_nobody() {
    let mut fixture = worker("chatty").start().await;
    let input = Value::string(&"x".repeat(1 << 20));
    for _ in 0..4 {
        fixture.host.offer(task("/echo", input.clone()));
    }
    for _ in 0..4 {
        assert_eq!(fixture.events.output().await, Value::from(1_u64 << 20));
    }
}

#[tokio::test]
async fn a_worker_runs_in_its_folder_with_its_environment() {
    let folder = tempfile::tempdir().unwrap();
    let mut fixture = worker("environment").cwd(folder.path()).env("GREETING", "hello").start().await;
    fixture.host.offer(task("/echo", Value::null()));
    let seen = fixture.events.output().await;
    let env = seen.field("env").unwrap();
    assert_eq!(env.field("GREETING"), Some(Value::string("hello")));
    assert_eq!(env.field("STEPFLOW_WORKER_PORT"), Some(Value::string("0")));
    assert!(env.field("PATH").is_some());
    assert_eq!(seen.field("leader"), Some(Value::from(true)));
    let cwd = folder.path().canonicalize().unwrap();
    assert_eq!(seen.field("cwd"), Some(Value::string(cwd.to_str().unwrap())));
}

#[tokio::test]
async fn a_worker_inherits_only_what_the_config_lists() {
    let mut fixture = worker("environment").inherit(&["PATH", "STEPFLOW_TOKEN"]).start().await;
    fixture.host.offer(task("/echo", Value::null()));
    let env = fixture.events.output().await.field("env").unwrap();
    assert!(env.field("PATH").is_some());
    assert!(env.field("HOME").is_none() && env.field("CARGO_MANIFEST_DIR").is_none());
}

#[tokio::test]
async fn a_worker_does_not_see_what_the_config_withholds() {
    // Cargo sets it, so it would be inherited.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let mut fixture = worker("environment").withhold("CARGO_MANIFEST_DIR").start().await;
    fixture.host.offer(task("/echo", Value::null()));
    let env = fixture.events.output().await.field("env").unwrap();
    assert!(env.field("STEPFLOW_WORKER_PORT").is_some() && env.field("CARGO_MANIFEST_DIR").is_none());
}

#[tokio::test]
async fn a_draining_worker_gives_its_task_back() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let mut fixture = worker("draining").args(&[seen.to_str().unwrap()]).start().await;
    fixture.host.offer(task("/echo", Value::null()));
    assert_eq!(fixture.events.output().await, Value::from(1_u64));
}

#[tokio::test]
async fn a_running_worker_is_healthy_and_lists_its_components() {
    let fixture = worker("echo").start().await;
    assert_eq!(fixture.host.health(), Health::Ready);
    let listed: Vec<String> = fixture.host.components().into_iter().map(|info| info.component).collect();
    assert!(listed.contains(&"/typed".to_owned()), "{listed:?}");
    fixture.host.shutdown().await;
    assert_eq!(fixture.host.health(), Health::ShutDown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_reads_no_answers_has_few_of_them_made() {
    let folder = tempfile::tempdir().unwrap();
    let stop = folder.path().join("stop");
    std::fs::write(&stop, "").unwrap();
    let blobs = std::sync::Arc::new(CountedBlobs::default());
    let mut fixture = worker("floods").env("STOP", stop.to_str().unwrap()).build_with(blobs.clone());
    fixture.host.offer(task("/flood", 200_u64.into()));
    let asked = folder.path().join("stop.asked");
    suite::until("the worker does not ask", || asked.exists()).await;
    // Without a limit all answers are made at once, each with its mebibyte.
    let all = async {
        while blobs.got() < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), all).await.is_err(), "{}", blobs.got());
    assert!(blobs.got() < 80, "{}", blobs.got());
    std::fs::remove_file(stop).unwrap();
    assert_eq!(fixture.events.output().await, 200_u64.into());
}
