//! Mocks, through the port that the engine uses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::sync::Arc;

use stepflow_engine::ports::{Answer, ComponentHost, Target};
use stepflow_flow::{Decoder, Source, read_node};
use stepflow_hosts::{BuiltinHost, BuiltinOptions, MockHost, MockOptions, MockOverlay, Mocks};
use stepflow_protocol::{ErrorKind, Value};
use suite::{InboxEvents, MemoryBlobs, inbox, json, task};

const COMPONENTS: &str = r#"{
  "/double": {
    "input_schema": {"type": "object", "required": ["n"]},
    "behaviors": {
      "{\"n\": 1, \"m\": [2]}": {"outcome": "success", "result": 2},
      "{\"n\": 2}": {"outcome": "failed", "error": {"code": "COMPONENT_FAILED", "message": "two is too much"}},
      "{\"n\": 3}": {"error": "out of order"}
    }
  },
  "/word": {
    "output_schema": {"type": "string"},
    "behaviors": {"hello": {"outcome": "success", "result": null}, "bye": {"outcome": "success", "result": "so long"}}
  }
}"#;

fn plugin() -> (MockHost, InboxEvents) {
    validating(false)
}

fn validating(validate_outputs: bool) -> (MockHost, InboxEvents) {
    let mut decoder = Decoder::new();
    let options = MockOptions::decode(&mut decoder, &read_node(&Source::json("config", COMPONENTS)).unwrap());
    let wrong = decoder.finish();
    assert!(wrong.is_empty(), "{wrong}");
    let (inbox, events) = inbox();
    let mut options = options.unwrap();
    options.validate_outputs = validate_outputs;
    (MockHost::new(options, inbox), events)
}

async fn answer(host: &dyn ComponentHost, events: &mut InboxEvents, path: &str, input: &str) -> Answer {
    let Target::Component { route, .. } = host.resolve(path, &json(input)).unwrap() else { panic!("no component") };
    let mut task = task(path, json(input));
    task.route = route;
    host.offer(task);
    events.answer().await.1
}

#[tokio::test]
async fn the_plugin_answers_by_the_whole_input_whatever_the_order_of_its_members() {
    let (host, mut events) = plugin();
    assert_eq!(answer(&host, &mut events, "/double", r#"{"m":[2],"n":1}"#).await, Answer::Success(json("2")));
    assert_eq!(answer(&host, &mut events, "/word", r#""hello""#).await, Answer::Success(Value::null()));
}

#[tokio::test]
async fn the_plugin_fails_where_it_is_told_to() {
    let (host, mut events) = plugin();
    for (input, message) in [(r#"{"n":2}"#, "two is too much"), (r#"{"n":3}"#, "out of order")] {
        let Answer::Failed(failure) = answer(&host, &mut events, "/double", input).await else { panic!("no failure") };
        assert_eq!((failure.error.kind, failure.error.message.as_str()), (ErrorKind::ComponentFailed, message));
    }
}

#[tokio::test]
async fn the_plugin_checks_its_outputs_when_that_is_asked_for() {
    let (host, mut events) = validating(true);
    assert_eq!(answer(&host, &mut events, "/word", r#""bye""#).await, Answer::Success(json(r#""so long""#)));
    let Answer::Failed(failure) = answer(&host, &mut events, "/word", r#""hello""#).await else { panic!("unchecked") };
    assert_eq!(failure.error.kind, ErrorKind::ComponentFailed);
    assert_eq!(failure.error.message, "the output of `/word` does not fit: expected string, found null");
}

#[tokio::test]
async fn an_input_without_a_behavior_is_named_with_those_that_have_one() {
    let (host, _words) = plugin();
    let error = host.resolve("/double", &json(r#"{"n":9}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains(r#"{"n":9}"#) && error.message.contains(r#"{"n": 3}"#), "{}", error.message);
    assert_eq!(host.resolve("/double", &json("{}")).unwrap_err().kind, ErrorKind::InvalidInput);
    assert_eq!(host.resolve("/duoble", &json("{}")).unwrap_err().kind, ErrorKind::ComponentNotFound);
}

fn overlay(mocks: &str) -> (MockOverlay, InboxEvents) {
    let (inbox, events) = inbox();
    let builtins = BuiltinHost::new(BuiltinOptions::default(), Arc::clone(&inbox), Arc::new(MemoryBlobs::default()));
    let overlay = MockOverlay::new(Arc::new(builtins), inbox);
    let mut decoder = Decoder::new();
    let read = Mocks::decode(&mut decoder, &read_node(&Source::json("mocks", mocks)).unwrap());
    let wrong = decoder.finish();
    assert!(wrong.is_empty(), "{wrong}");
    overlay.set(read.unwrap());
    (overlay, events)
}

#[tokio::test]
async fn a_mock_replaces_the_component_of_its_path_and_no_other() {
    let (host, mut events) = overlay(r#"{"/get_blob": {"output": 1}}"#);
    assert_eq!(answer(&host, &mut events, "/get_blob", "null").await, Answer::Success(json("1")));
    assert_eq!(answer(&host, &mut events, "/noop", "2").await, Answer::Success(json("2")));
}

#[tokio::test]
async fn each_call_has_its_answer_and_one_too_many_is_an_error() {
    let (host, mut events) = overlay(r#"{"/a": {"outputs": [1]}, "/b": [{"error": "no"}, {"output": 2}]}"#);
    assert_eq!(answer(&host, &mut events, "/a", "null").await, Answer::Success(json("1")));
    let Answer::Failed(failure) = answer(&host, &mut events, "/a", "null").await else { panic!("no failure") };
    assert!(failure.error.message.contains("2nd time"), "{}", failure.error.message);
    assert!(matches!(answer(&host, &mut events, "/b", "null").await, Answer::Failed(_)));
    assert_eq!(answer(&host, &mut events, "/b", "null").await, Answer::Success(json("2")));
}

#[tokio::test]
async fn a_mock_with_a_schema_fails_where_its_output_does_not_fit() {
    let (host, mut events) = overlay(r#"{"/a": {"output_schema": {"type": "integer"}, "outputs": ["no", 2]}}"#);
    let Answer::Failed(failure) = answer(&host, &mut events, "/a", "null").await else { panic!("unchecked") };
    assert_eq!(failure.error.message, "the output of `/a` does not fit: expected integer, found string");
    assert_eq!(answer(&host, &mut events, "/a", "null").await, Answer::Success(json("2")));
}

#[tokio::test]
async fn a_cancelled_mock_answers_at_once() {
    let (host, mut events) = overlay(r#"{"/slow": {"output": 1, "delay": "1h"}}"#);
    let Target::Component { route, .. } = host.resolve("/slow", &json("null")).unwrap() else { panic!() };
    let mut envelope = task("/slow", json("null"));
    envelope.route = route.clone();
    let at = envelope.address();
    host.offer(envelope);
    host.cancel(&route, at, "enough");
    assert_eq!(events.answer().await, (at.task, Answer::Cancelled));
}

#[test]
fn an_input_with_two_keys_of_one_name_is_refused_with_its_place() {
    let components = r#"{"/a": {"behaviors": {"{\"x\": 1, \"x\": 2}": {"output": 1}, "text": {"output": 2}}}}"#;
    let mut decoder = Decoder::new();
    MockOptions::decode(&mut decoder, &read_node(&Source::json("config", components)).unwrap());
    let wrong = decoder.finish();
    assert_eq!(wrong.iter().count(), 1, "{wrong}");
    assert!(wrong.iter().all(|one| one.message.contains("`$.x`") && one.span.is_some()), "{wrong}");
}

#[test]
fn a_mock_that_answers_nothing_is_refused_with_its_place() {
    for (mocks, place) in [
        (r#"{"/a": {}}"#, "$[\"/a\"]"),
        (r#"{"/a": {"otput": 1}}"#, "$[\"/a\"]"),
        (r#"{"/a": {"output": 1, "error": "x"}}"#, "$[\"/a\"]"),
        (r#"{"/a": {"error": {"kind": "NOPE"}}}"#, "$[\"/a\"].error.kind"),
        (r#"{"/a": {"output": 1, "output_schema": {"type": "nope"}}}"#, "$[\"/a\"].output_schema"),
    ] {
        let mut decoder = Decoder::new();
        let _ = Mocks::decode(&mut decoder, &read_node(&Source::json("mocks", mocks)).unwrap());
        let wrong = decoder.finish();
        assert!(wrong.iter().any(|one| one.path == place), "{mocks}: {wrong}");
    }
}
