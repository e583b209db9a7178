//! How workers on stdio start, die, are replaced and end, and that nothing is left of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;
mod worker_fixture;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Address, Answer, ComponentHost, Lost, Purity, Target, TaskEnvelope};
use stepflow_hosts::{Health, InstanceState, Router, Rule, StartError};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use suite::{PATIENCE, json, task};
use uuid::Uuid;
use worker_fixture::{Fixture, command, processes_marked, worker};

fn next_attempt(task: &TaskEnvelope) -> TaskEnvelope {
    TaskEnvelope { task: TaskRef { attempt: task.task.attempt + 1, ..task.task }, ..task.clone() }
}

#[tokio::test]
async fn a_crash_loses_the_attempt_and_the_next_one_finds_a_new_worker() {
    let mut fixture = worker("crash").start().await;
    let first = task("/echo", json(r#"{"die":-9}"#));
    fixture.host.offer(first.clone());
    let (lost_task, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert_eq!((lost_task, lost.spends, lost.back_off), (first.task, true, false));
    assert_eq!(lost.error.kind, ErrorKind::Unreachable);
    assert!(lost.error.message.contains("killed by signal 9 (SIGKILL)"), "{}", lost.error.message);
    let data = lost.error.data.unwrap();
    assert_eq!(data.field("plugin"), Some(Value::string("python")));
    assert_eq!(data.field("stderr"), Some(Value::string("the last words")));

    fixture.host.offer(next_attempt(&first));
    assert_eq!(fixture.events.output().await, json(r#"{"attempt":2}"#));
}

#[tokio::test]
async fn what_a_process_wrote_is_not_shown_with_an_attempt_that_was_not_its_only_one() {
    let mut fixture = worker("crash").start().await;
    fixture.host.offer(task("/echo", json("{}")));
    fixture.events.output().await;
    fixture.host.offer(task("/echo", json(r#"{"die":1}"#)));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert_eq!(lost.error.data.unwrap().field("stderr"), None);
}

#[tokio::test]
async fn an_exit_status_is_told() {
    let mut fixture = worker("crash").start().await;
    fixture.host.offer(task("/echo", json(r#"{"die":7}"#)));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(lost.error.message.ends_with("exit status 7"), "{}", lost.error.message);
}

#[tokio::test]
async fn every_open_attempt_is_lost_with_its_worker_and_what_waits_is_not() {
    let mut fixture = worker("crash").max_concurrency(2).start().await;
    let dying = task("/echo", json(r#"{"die":1}"#));
    let (neighbour, waiting) = (task("/echo", json("{}")), task("/echo", json("{}")));
    for task in [&dying, &neighbour, &waiting] {
        fixture.host.offer(task.clone());
    }
    for expected in [&dying, &neighbour] {
        let (lost, answer) = fixture.events.answer().await;
        assert_eq!(lost, expected.task);
        assert!(matches!(answer, Answer::Lost(_)));
    }
    assert_eq!(fixture.events.answer().await.0, waiting.task);
}

#[tokio::test]
async fn five_crashes_that_no_task_is_to_blame_for_make_a_worker_unhealthy() {
    let mut fixture = worker("crash").start().await;
    let reason = when_each_is_killed(&fixture).await;
    assert!(reason.contains("5 times"), "{reason}");
    fixture.host.offer(task("/echo", json("{}")));
    let failure = fixture.events.failure().await;
    assert_eq!(failure.kind, ErrorKind::Unreachable);
}

#[tokio::test]
async fn what_the_steps_of_a_process_made_it_write_is_not_shown_with_those_that_are_refused() {
    let mut fixture = worker("crash").restart(|policy| policy.crashes = 1).start().await;
    fixture.host.offer(task("/echo", json("{}")));
    fixture.events.output().await;
    when_each_is_killed(&fixture).await;
    fixture.host.offer(task("/echo", json("{}")));
    assert_eq!(fixture.events.failure().await.data.unwrap().field("stderr"), None);
}

/// Kills every process that is ready and idle, until no more are started. Returns why none is.
async fn when_each_is_killed(fixture: &Fixture) -> String {
    let mut killed = String::new();
    let given_up = async {
        loop {
            if let Health::Down(reason) = fixture.host.health() {
                return reason;
            }
            let instances = fixture.host.instances();
            if let Some(ready) = instances.iter().find(|it| it.state == InstanceState::Ready && it.address != killed) {
                killed.clone_from(&ready.address);
                let process = killed.trim_start_matches("pid ");
                assert!(Command::new("kill").args(["-s", "KILL", process]).status().unwrap().success());
            }
            tokio::task::yield_now().await;
        }
    };
    suite::in_time("it is started again and again", given_up).await
}

#[tokio::test]
async fn a_crash_is_on_the_account_of_the_task_that_was_alone() {
    let mut fixture = worker("crash").start().await;
    for _ in 0..12 {
        fixture.host.offer(task("/echo", json(r#"{"die":1}"#)));
        assert!(matches!(fixture.events.answer().await.1, Answer::Lost(Lost { spends: true, .. })));
    }
    fixture.host.offer(task("/echo", json("{}")));
    assert_eq!(fixture.events.output().await, json(r#"{"attempt":1}"#));
}

#[tokio::test]
async fn after_a_crash_of_a_task_that_was_alone_the_next_process_starts_at_once() {
    let late = |policy: &mut stepflow_hosts::RestartPolicy| {
        (policy.first_delay, policy.max_delay) = (PATIENCE * 10, PATIENCE * 10);
    };
    let mut fixture = worker("crash").restart(late).start().await;
    fixture.host.offer(task("/echo", json(r#"{"die":1}"#)));
    assert!(matches!(fixture.events.answer().await.1, Answer::Lost(_)));
    fixture.host.offer(task("/echo", json("{}")));
    assert_eq!(fixture.events.output().await, json(r#"{"attempt":1}"#));
}

#[tokio::test]
async fn an_unhealthy_worker_is_tried_again_after_its_pause() {
    let policy = |policy: &mut stepflow_hosts::RestartPolicy| {
        policy.crashes = 1;
        policy.pause = Duration::from_millis(20);
    };
    let mut fixture = worker("crash").restart(policy).start().await;
    when_each_is_killed(&fixture).await;
    // Refused until the new process has answered the handshake.
    let patience = tokio::time::Instant::now() + PATIENCE;
    loop {
        fixture.host.offer(task("/echo", json("{}")));
        match fixture.events.answer().await.1 {
            Answer::Success(output) => break assert_eq!(output, json(r#"{"attempt":1}"#)),
            Answer::Failed(failure) => assert_eq!(failure.error.kind, ErrorKind::Unreachable),
            other => panic!("{other:?}"),
        }
        assert!(tokio::time::Instant::now() < patience, "it is never tried again");
    }
}

#[tokio::test]
async fn a_worker_that_stops_listening_is_replaced() {
    let mut fixture = worker("deaf").start().await;
    fixture.host.offer(task("/echo", Value::null()));
    assert_eq!(fixture.events.output().await, Value::null());
    fixture.host.offer(task("/echo", Value::null()));
    let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
    assert!(lost.spends);
    assert!(lost.error.message.contains("does not read its stdin"), "{}", lost.error.message);
    fixture.host.offer(task("/echo", Value::null()));
    assert_eq!(fixture.events.output().await, Value::null());
}

#[tokio::test]
async fn a_grandchild_dies_with_its_parent() {
    let mut fixture = worker("grandchild").start().await;
    wait_until(|| fixture.processes() == 2);
    fixture.host.offer(task("/echo", Value::string("die")));
    assert!(matches!(fixture.events.answer().await.1, Answer::Lost(_)));
    // The new worker has its own child process; the one of the old worker is gone.
    fixture.host.offer(task("/echo", Value::null()));
    fixture.events.output().await;
    wait_until(|| fixture.processes() == 2);
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn a_shutdown_loses_what_is_open_and_spends_nothing() {
    let mut fixture = worker("hold").shutdown_grace(Duration::ZERO).start().await;
    let (held, waiting) = (task("/echo", Value::string("hold")), task("/echo", Value::null()));
    fixture.host.offer(held.clone());
    fixture.host.offer(waiting.clone());
    fixture.host.shutdown().await;
    for _ in 0..2 {
        let (_, Answer::Lost(lost)) = fixture.events.answer().await else { panic!("not lost") };
        assert!(!lost.spends);
    }
    fixture.host.offer(waiting);
    assert!(matches!(fixture.events.answer().await.1, Answer::Lost(_)));
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn a_worker_that_ignores_everything_is_killed() {
    let fixture = worker("stubborn").shutdown_grace(Duration::from_millis(10)).start().await;
    assert_eq!(fixture.processes(), 1);
    fixture.host.shutdown().await;
    assert_eq!(fixture.processes(), 0);
}

#[tokio::test]
async fn an_idle_worker_ends_with_its_input() {
    // With this grace, SIGTERM would come only after the test has failed.
    let fixture = worker("echo").shutdown_grace(PATIENCE * 10).start().await;
    tokio::time::timeout(PATIENCE, fixture.host.shutdown()).await.unwrap();
    assert_eq!(fixture.processes(), 0);
}

#[test]
fn a_runtime_that_ends_takes_its_workers_along() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(worker("grandchild").start());
    wait_until(|| fixture.processes() == 2);
    drop(runtime);
    wait_until(|| fixture.processes() == 0);
}

/// The variable that gives the mark to the test's copy.
const KILLED_SERVER: &str = "STEPFLOW_TEST_KILLED_SERVER";

#[test]
fn a_server_that_is_killed_takes_its_workers_along() {
    if let Ok(mark) = std::env::var(KILLED_SERVER) {
        return serve_until_killed(mark);
    }
    let mark = Uuid::now_v7().to_string();
    let mut server = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_that_is_killed_takes_its_workers_along"])
        .env(KILLED_SERVER, &mark)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| processes_marked(&mark) == 1);
    server.kill().unwrap();
    server.wait().unwrap();
    wait_until(|| processes_marked(&mark) == 0);
}

/// The worker ignores the end of its input and SIGTERM: only the parent-death signal can end it.
fn serve_until_killed(mark: String) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _fixture = runtime.block_on(worker("stubborn").marked(mark).start());
    loop {
        std::thread::park();
    }
}

/// Waits for the condition. A process that has just been started has no environment yet in which it can be found.
fn wait_until(condition: impl Fn() -> bool) {
    let patience = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < patience, "it does not come to pass");
        std::thread::yield_now();
    }
}

/// Serves every path.
struct Anything;

impl ComponentHost for Anything {
    fn resolve(&self, path: &str, _: &Value) -> Result<Target, FlowError> {
        let route = Route { plugin: "other".to_owned(), component: path.to_owned() };
        Ok(Target::Component { route, purity: Purity::Read })
    }

    fn offer(&self, _: TaskEnvelope) {}

    fn cancel(&self, _: &Route, _: Address, _: &str) {}
}

/// Routes to a worker first, and to another host what the worker does not serve.
fn behind(fixture: &Fixture) -> Router {
    let (inbox, _) = suite::inbox();
    let plugins = [("w", Arc::clone(&fixture.host) as Arc<dyn ComponentHost>), ("other", Arc::new(Anything) as _)];
    let plugins = plugins.map(|(name, host)| (name.to_owned(), host)).into_iter().collect();
    let rules = vec![Rule::to("w"), Rule::to("other")];
    Router::new(plugins, [("/{*component}".to_owned(), rules)], inbox).unwrap()
}

fn plugin(router: &Router, path: &str) -> String {
    let Ok(Target::Component { route, .. }) = router.resolve(path, &Value::null()) else { panic!("no component") };
    route.plugin
}

#[tokio::test]
async fn a_route_that_falls_through_waits_for_the_handshake() {
    let fixture = worker("echo").build();
    let router = behind(&fixture);
    assert_eq!(router.resolve("/elsewhere", &Value::null()), Ok(Target::Undecided));
    router.decided("/elsewhere").await;
    assert_eq!(plugin(&router, "/elsewhere"), "other");
    assert_eq!(plugin(&router, "/echo"), "w");
}

#[tokio::test]
async fn a_plugin_that_does_not_start_serves_nothing() {
    let fixture = worker("silent").start_timeout(Duration::from_millis(50)).build();
    let router = behind(&fixture);
    router.decided("/elsewhere").await;
    assert_eq!(plugin(&router, "/elsewhere"), "other");
}

#[tokio::test]
async fn tasks_that_are_offered_before_the_start_wait_for_it() {
    let mut fixture = worker("echo").build();
    assert!(fixture.host.resolve("/echo", &Value::null()).is_ok());
    fixture.host.offer(task("/echo", Value::from(true)));
    assert!(fixture.events.is_silent());
    fixture.host.start().await.unwrap();
    assert_eq!(fixture.events.output().await, Value::from(true));
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named() {
    let error = command("stepflow-no-such-worker").start_error().await;
    assert!(matches!(&error, StartError::CommandNotFound { command, .. } if command == "stepflow-no-such-worker"));
    assert!(error.to_string().contains("there is no command `stepflow-no-such-worker` (looked for in PATH"), "{error}");
    let error = command("./no/such/file").start_error().await;
    assert!(error.to_string().contains("there is no file `"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_program_cannot_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "hello").unwrap();
    let error = command(path.to_str().unwrap()).start_error().await;
    assert!(matches!(error, StartError::CannotRun { .. }), "{error}");
    assert!(error.to_string().contains("Permission denied"), "{error}");
}

#[tokio::test]
async fn what_the_system_does_not_find_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let error = command("python3").cwd(folder.path().join("gone")).start_error().await;
    assert!(error.to_string().contains("gone` does not exist"), "{error}");
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = command(script.to_str().unwrap()).start_error().await;
    assert!(error.to_string().contains("the interpreter that its first line names"), "{error}");
}

#[tokio::test]
async fn a_worker_that_dies_at_import_shows_why() {
    let error = worker("die_at_import").start_error().await;
    let StartError::Died { status, stderr, .. } = &error else { panic!("{error}") };
    assert_eq!(status, "exit status 1");
    assert!(stderr.contains("ModuleNotFoundError: No module named 'a_module_that_is_not_there'"), "{stderr}");
    assert!(error.to_string().contains("\n  | ModuleNotFoundError"), "{error}");
}

#[tokio::test]
async fn a_worker_that_never_answers_is_given_up() {
    let error = worker("silent").start_timeout(Duration::from_millis(300)).start_error().await;
    assert!(matches!(error, StartError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("did not answer within 0.3 s"), "{error}");
}

#[tokio::test]
async fn a_worker_that_does_not_speak_the_protocol_is_given_up() {
    let error = worker("wrong_protocol").start_error().await;
    assert!(matches!(error, StartError::Protocol { .. }), "{error}");
    assert!(error.to_string().contains("it refused the handshake: not today (-32000)"), "{error}");
}

#[tokio::test]
async fn tasks_of_a_worker_that_does_not_start_fail_with_the_reason() {
    let mut fixture = worker("die_at_import").build();
    fixture.host.offer(task("/echo", Value::null()));
    fixture.host.start().await.unwrap_err();
    let failure = fixture.events.failure().await;
    assert_eq!(failure.kind, ErrorKind::Unreachable);
    assert!(failure.message.contains("a_module_that_is_not_there"), "{}", failure.message);
    let error = fixture.host.resolve("/echo", &Value::null()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable);
    fixture.host.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_during_the_start_leaves_nothing_behind() {
    let fixture = worker("silent").build();
    let (started, ()) = tokio::join!(fixture.host.start(), async {
        suite::until("the worker does not start", || fixture.host.stderr_tail().contains("busy")).await;
        fixture.host.shutdown().await;
    });
    assert!(matches!(started, Err(StartError::ShutDown { .. })), "{started:?}");
    assert_eq!(fixture.processes(), 0);
}
