//! The JSON Schema of flow documents agrees with the reader.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::yaml;
use serde_json::json;
use stepflow_protocol::Value;

fn validator() -> jsonschema::Validator {
    jsonschema::options().offline().build(&stepflow_flow::schema()).unwrap()
}

#[test]
fn the_schema_takes_a_flow_with_every_key() {
    let document = json!({
        "name": "n", "description": "d", "version": "1", "timeout": "1h",
        "schemas": {"type": "object", "$defs": {}, "properties": {"input": {}, "output": true, "variables": {}, "steps": {}}},
        "steps": [
            {"id": "a", "component": "/x", "input": {"$input": "$"}, "mustExecute": true, "metadata": {"k": 1}, "timeout": 1.5,
             "onError": {"action": "retry", "maxRetries": 2, "retryOn": ["TIMEOUT"],
                         "backoff": {"type": "constant", "delay": "1s"},
                         "exhausted": {"action": "useDefault", "defaultValue": 1}}},
            {"id": "b", "component": "/x", "onError": {"action": "fail"}},
            {"id": "c", "component": "/x", "onError": {"action": "useDefault"}},
        ],
        "output": [{"$step": "a"}, {"$step": "b"}, {"$step": "c"}],
        "test": {"config": {}, "cases": [{"name": "c", "input": null, "output": {}, "mocks": {}, "expectSteps": {}}]},
        "examples": [{"name": "e", "input": 1}],
        "metadata": {"z": null},
    });
    let errors: Vec<String> = validator().iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    let loaded = common::json(&document.to_string());
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for document in [
        json!({"steps": [{"id": "a"}]}),
        json!({"steps": [{"id": "a", "component": "/x", "onError": {"action": "skip"}}]}),
        json!({"steps": [{"id": "a", "component": "/x", "mustExecute": "yes"}]}),
        json!({"steps": {}}),
        json!({"examples": [{"name": "x"}]}),
    ] {
        assert!(!validator().is_valid(&document), "{document}");
        assert!(yaml(&document.to_string()).flow.is_none(), "{document}");
    }
}

#[test]
fn every_key_of_the_schema_is_known_to_the_reader() {
    let schema = Value::from_json(&stepflow_flow::schema());
    let keys = |schema: &Value| schema.field("properties").unwrap().members().into_iter().map(|(key, _)| key);
    for key in keys(&schema) {
        let loaded = yaml(&format!("{key}: null"));
        assert!(!loaded.diagnostics.iter().any(|one| [1005, 2007].contains(&one.code.number())), "{key}");
    }
    for key in keys(&schema.field("$defs").unwrap().field("Step").unwrap()) {
        let loaded = yaml(&format!("steps: [{{{key}: null}}]"));
        assert!(!loaded.diagnostics.iter().any(|one| [1005, 2007].contains(&one.code.number())), "{key}");
    }
}

#[test]
fn types_have_the_names_that_generated_code_gets() {
    let schema = stepflow_flow::schema();
    assert_eq!(schema["title"], "Flow");
    let names: Vec<&str> = schema["$defs"].as_object().unwrap().keys().map(String::as_str).collect();
    for name in ["Step", "OnError", "Backoff", "Exhausted", "TestConfig", "TestCase", "ExampleInput", "ErrorKind"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let titles: Vec<&str> = schema["$defs"]["OnError"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["title"].as_str())
        .collect();
    assert_eq!(titles, ["OnErrorFail", "OnErrorUseDefault", "OnErrorRetry"]);
}
