//! The ids of `conformance/ids.json`, which every implementation must have: the same file is checked in Python.
//!
//! With `STEPFLOW_WRITE_IDS` set, the test writes the ids instead. Use that after adding a value, never to change one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;

use serde::{Deserialize, Serialize};
use stepflow_flow::{Source, load};
use stepflow_protocol::{Value, content_id};

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Ids {
    values: Vec<KnownValue>,
    flows: Vec<KnownFlow>,
}

/// A JSON text, and the id of a blob with that value.
#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct KnownValue {
    json: String,
    id: String,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct KnownFlow {
    format: String,
    document: String,
    id: String,
}

fn id_of_value(json: &str) -> String {
    content_id(Value::parse(json).unwrap().canonical().as_bytes()).to_string()
}

fn id_of_flow(format: &str, document: &str) -> String {
    let loaded = load(match format {
        "yaml" => Source::yaml("flow.yaml", document),
        "json" => Source::json("flow.json", document),
        other => panic!("no format: {other}"),
    });
    loaded.flow.unwrap_or_else(|| panic!("{document}: {}", loaded.diagnostics)).id().to_string()
}

#[test]
fn every_known_value_and_flow_has_its_id() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../conformance/ids.json");
    let known: Ids = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut computed = known.clone();
    for one in &mut computed.values {
        one.id = id_of_value(&one.json);
    }
    for one in &mut computed.flows {
        one.id = id_of_flow(&one.format, &one.document);
    }
    if std::env::var_os("STEPFLOW_WRITE_IDS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&computed).unwrap() + "\n").unwrap();
        return;
    }
    for (known, computed) in known.values.iter().zip(&computed.values) {
        assert_eq!(known, computed);
    }
    for (known, computed) in known.flows.iter().zip(&computed.flows) {
        assert_eq!(known, computed);
    }
    assert!(known.values.len() >= 200, "{} values", known.values.len());
}
