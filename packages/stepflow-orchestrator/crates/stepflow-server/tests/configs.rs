//! Configuration files in the spellings of earlier releases: each loads, or names exactly what is not built.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use stepflow_flow::Source;
use stepflow_server::config;

/// What each file asks for that is not built, in the words of the message.
const EXPECTED: &[(&str, &[&str])] = &[
    ("v0.7-http.yml", &[]),
    ("v0.7-stdio.yml", &[]),
    ("v0.9-rules.yml", &[]),
    ("v0.9-sqlite.yml", &["the plugin `tools` of the type `mcp`"]),
    ("v0.9-subprocess.yml", &[]),
    ("v0.11-memory.yml", &[]),
    (
        "v0.11-stores.yml",
        &["`journal` in another store than `metadata`", "`leaseManager` of the type `etcd`", "`recovery`", "`blobApi`"],
    ),
    ("v0.13-prefixes.yml", &[]),
    (
        "v0.13-queues.yml",
        &[
            "the plugin `python` of the type `grpc`",
            "the plugin `far` of the type `nats`",
            "`queueName`",
            "`stream`",
            "`storageConfig` of the type `postgres`",
        ],
    ),
];

#[test]
fn published_files_load_or_name_exactly_what_is_not_built() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let mut expected: BTreeMap<_, _> = EXPECTED.iter().copied().collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let source = Source::yaml(&name, fs::read(&path).unwrap());
        let read = config::read(source, folder.clone()).map_err(|wrong| format!("{wrong:?}"));
        let config = read.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let refused = config.not_built().unwrap_or_default();
        let expected = expected.remove(name.as_str()).unwrap_or_else(|| panic!("{name} is not expected"));
        let named: Vec<&str> =
            refused.lines().filter_map(|line| line.split_once("]: ")?.1.strip_suffix(" is not built yet")).collect();
        assert_eq!(sorted(named), sorted(expected.to_vec()), "{name}: {refused}");
        assert_eq!(config.refuse_what_is_not_built().is_ok(), expected.is_empty(), "{name}");
        config.routing().unwrap();
    }
    assert!(expected.is_empty(), "these files are missing: {expected:?}");
}

fn sorted(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words
}

#[test]
fn the_rules_of_a_published_file_lead_where_they_led() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
    let source = Source::yaml("config", fs::read(folder.join("v0.9-rules.yml")).unwrap());
    let routing = config::read(source, folder).unwrap().routing().unwrap();
    for (path, input, expected) in [
        ("/ai/gpt/embed", r#"{"size":"large","options":{"stream":false}}"#, Some("big /gpt/embed")),
        ("/ai/gpt/train", r#"{"size":"large","options":{"stream":false}}"#, None),
        ("/ai/gpt/embed", r#"{"size":"large","options":{}}"#, Some("small /embed")),
        ("/ai/gpt/other", "{}", None),
        ("/double", "7", Some("small /math/double")),
        ("/noop", "null", Some("builtin /noop")),
    ] {
        let input = stepflow_protocol::Value::parse(input).unwrap();
        let led = routing.route(path, &input).filter(|route| route.plugin != "builtin" || path == "/noop");
        assert_eq!(led.map(|route| format!("{} {}", route.plugin, route.component)).as_deref(), expected, "{path}");
    }
}

#[test]
fn the_documentation_has_a_row_for_every_key_with_its_default() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../..");
    let text = fs::read_to_string(root.join("docs/config.md")).unwrap();
    let schema = config::schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let all = definitions.iter().map(|(name, object)| (name.as_str(), object)).chain([("Config", &schema)]);
    let mut missing = Vec::new();
    for (name, object) in all {
        let heading = format!("<!-- {name} -->");
        let Some((_, section)) = text.split_once(&heading) else {
            missing.push(heading);
            continue;
        };
        let section = section.split_once("\n#").map_or(section, |(section, _)| section);
        for (key, member) in object["properties"].as_object().unwrap() {
            let row = section.lines().find(|line| line.starts_with(&format!("| `{key}`")));
            let default = member.get("default").map(|default| format!("`{default}`")).unwrap_or_default();
            let planned = member["description"].as_str().unwrap_or_default().contains("Not built yet");
            let stated = |row: &str| row.contains(&default) && row.contains("not built yet") == planned;
            if !row.is_some_and(stated) {
                missing.push(format!("{name}.{key} {default} planned: {planned}"));
            }
        }
    }
    assert!(missing.is_empty(), "docs/config.md lacks: {missing:#?}");
}

#[test]
fn every_example_of_the_documentation_is_a_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../..");
    let text = fs::read_to_string(root.join("docs/config.md")).unwrap();
    let examples: Vec<&str> = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 5, "there are only {}", examples.len());
    for example in examples {
        let read = config::read(Source::yaml("example", example), std::env::temp_dir());
        assert!(read.is_ok(), "{example}\n{:?}", read.map(|_| ()));
    }
}
