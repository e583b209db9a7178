//! The builtins, through the port that the engine uses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod builtin_fixture;
#[allow(dead_code)]
mod suite;

use std::sync::Arc;

use builtin_fixture::fixture;
use stepflow_engine::event::Control;
use stepflow_engine::ports::{Answer, ComponentHost as _, Target};
use stepflow_hosts::{BuiltinHost, BuiltinOptions};
use stepflow_protocol::ErrorKind;
use suite::{MemoryBlobs, Subject, inbox, json, task};

#[tokio::test]
async fn builtins_pass_the_host_suite() {
    let (inbox, events) = inbox();
    let host = BuiltinHost::new(BuiltinOptions::default(), inbox, Arc::new(MemoryBlobs::default()));
    suite::check(Subject { host: Arc::new(host), events, echo: "/noop", typed: "/get_blob" }).await;
}

#[tokio::test]
async fn every_builtin_describes_itself() {
    for info in fixture().host.components() {
        assert!(info.description.is_some() && info.input_schema.is_some() && info.output_schema.is_some(), "{info:?}");
    }
}

#[tokio::test]
async fn a_blob_comes_back_under_the_hash_of_its_bytes() {
    let mut fixture = fixture();
    let put = fixture.run("/put_blob", r#"{"data":{"x":1},"blob_type":"data"}"#).await;
    assert_eq!(put.as_str(), r#"{"blob_id":"5041bf1f713df204784353e82f6a4a535931cb64f1f4b4a5aeaffcb720918b22"}"#);
    assert_eq!(fixture.run("/get_blob", put.as_str()).await, json(r#"{"data":{"x":1}}"#));
}

#[tokio::test]
async fn a_blob_that_is_not_of_its_type_is_refused() {
    let mut fixture = fixture();
    for input in [
        r#"{"data":"not b64!","blob_type":"binary"}"#,
        r#"{"data":5,"blob_type":"binary"}"#,
        r#"{"data":"x","blob_type":"flow"}"#,
    ] {
        fixture.host.offer(task("/put_blob", json(input)));
        let (_, Answer::Failed(failure)) = fixture.events.answer().await else { panic!("{input}") };
        assert_eq!(failure.error.kind, ErrorKind::InvalidInput);
        assert!(failure.error.message.starts_with("`data` is "), "{failure:?}");
    }
    fixture.run("/put_blob", r#"{"data":"eA==","blob_type":"binary"}"#).await;
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_a_failure_that_no_retry_mends() {
    let mut fixture = fixture();
    let id = "0".repeat(64);
    fixture.host.offer(task("/get_blob", json(&format!(r#"{{"blob_id":"{id}"}}"#))));
    let (_, Answer::Failed(failure)) = fixture.events.answer().await else { panic!("no failure") };
    assert_eq!(failure.error.message, format!("there is no blob `{id}`"));
    assert_eq!(failure.retryable, Some(false));
}

#[tokio::test]
async fn a_malformed_blob_id_is_refused_before_it_runs() {
    let error = fixture().host.resolve("/get_blob", &json(r#"{"blob_id":"abc"}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn messages_are_made_of_a_prompt_and_instructions() {
    let mut fixture = fixture();
    let both = fixture.run("/create_messages", r#"{"user_prompt":"Hi","system_instructions":"Be kind"}"#).await;
    let messages = r#"[{"role":"system","content":"Be kind"},{"role":"user","content":"Hi"}]"#;
    assert_eq!(both, json(&format!(r#"{{"messages":{messages}}}"#)));
    let one = fixture.run("/create_messages", r#"{"user_prompt":"Hi"}"#).await;
    assert_eq!(one, json(r#"{"messages":[{"role":"user","content":"Hi"}]}"#));
}

#[tokio::test]
async fn wrong_input_is_refused_before_anything_runs() {
    let fixture = fixture();
    for (component, input) in [
        ("/create_messages", r#"{"prompt":"Hi"}"#),
        ("/template", r#"{"template":"x"}"#),
        ("/openai", r#"{"messages":[]}"#),
        ("/openai", r#"[[{"role":"user","content":"x"}]]"#),
        ("/openai", r#"{"messages":[{"role":"robot","content":"x"}]}"#),
        ("/openai", r#"{"messages":[{"role":"user","content":"x"}],"base_url":"ftp://x"}"#),
        ("/load_file", r#"{"path":"a","format":"xml"}"#),
        ("/map", r#"{"workflow":{},"items":{}}"#),
        ("/iterate", r#"{"flow":{},"initial_input":1,"max_iterations":-1}"#),
        ("/sleep", r#"{"duration_ms":1.5}"#),
    ] {
        let error = fixture.host.resolve(component, &json(input)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{component}");
    }
}

#[tokio::test]
async fn control_flow_is_listed_and_left_to_the_engine() {
    let fixture = fixture();
    let id = "0".repeat(64);
    for (component, input, target) in [
        ("/eval", format!(r#"{{"flow_id":"{id}","input":1}}"#), Target::SubFlow(Control::Eval)),
        ("/map", r#"{"workflow":{"steps":[]},"items":[1]}"#.to_owned(), Target::SubFlow(Control::Map)),
        ("/iterate", r#"{"flow":{"steps":[]},"initial_input":null}"#.to_owned(), Target::SubFlow(Control::Iterate)),
        ("/sleep", r#"{"duration_ms":5,"passthrough":[]}"#.to_owned(), Target::Timer),
    ] {
        assert_eq!(fixture.host.resolve(component, &json(&input)).unwrap(), target);
        assert!(fixture.host.components().iter().any(|info| info.component == component));
    }
}

#[tokio::test]
async fn code_for_eval_is_sent_to_the_component_that_runs_code() {
    let error = fixture().host.resolve("/eval", &json(r#"{"code":"1 + 1","input":{}}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
    assert!(error.message.contains("`/python/udf`"), "{}", error.message);
}
