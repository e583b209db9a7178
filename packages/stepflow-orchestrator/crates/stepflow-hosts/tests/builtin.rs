//! The builtins, through the port that the engine uses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod suite;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use stepflow_engine::event::Control;
use stepflow_engine::ports::{Answer, ComponentHost as _, Target};
use stepflow_hosts::{BuiltinHost, BuiltinOptions};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use suite::{MemoryBlobs, Subject, Words, inbox, json, task};
use tempfile::TempDir;

struct Fixture {
    host: BuiltinHost,
    words: Words,
    /// The working directory is `work` inside.
    outer: TempDir,
}

fn fixture_with(allow_paths: &[&str]) -> Fixture {
    let allow_paths = allow_paths.iter().map(PathBuf::from).collect();
    fixture_of(BuiltinOptions { allow_paths, ..BuiltinOptions::default() })
}

fn fixture_of(options: BuiltinOptions) -> Fixture {
    let outer = tempfile::tempdir().unwrap();
    let working_dir = outer.path().join("work");
    fs::create_dir(&working_dir).unwrap();
    let (inbox, words) = inbox();
    let options = BuiltinOptions { working_dir, ..options };
    Fixture { host: BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default())), words, outer }
}

fn fixture() -> Fixture {
    fixture_with(&[])
}

impl Fixture {
    fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        fs::write(self.outer.path().join("work").join(path), content).unwrap();
    }

    async fn run(&mut self, component: &str, input: &str) -> Value {
        self.host.resolve(component, &json(input)).unwrap();
        self.host.offer(task(component, json(input)));
        self.words.output().await
    }

    async fn failure(&mut self, component: &str, input: &str) -> FlowError {
        self.host.offer(task(component, json(input)));
        self.words.failure().await
    }
}

#[tokio::test]
async fn builtins_pass_the_host_suite() {
    let (inbox, words) = inbox();
    let host = BuiltinHost::new(BuiltinOptions::default(), inbox, Arc::new(MemoryBlobs::default()));
    suite::check(Subject { host: Arc::new(host), words, echo: "/noop", typed: "/get_blob" }).await;
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
async fn a_blob_that_is_not_there_is_a_failure_that_no_retry_mends() {
    let mut fixture = fixture();
    let id = "0".repeat(64);
    fixture.host.offer(task("/get_blob", json(&format!(r#"{{"blob_id":"{id}"}}"#))));
    let (_, Answer::Failed(failure)) = fixture.words.answer().await else { panic!("no failure") };
    assert_eq!(failure.error.message, format!("there is no blob `{id}`"));
    assert_eq!(failure.retryable, Some(false));
}

#[tokio::test]
async fn a_malformed_blob_id_is_refused_before_it_runs() {
    let error = fixture().host.resolve("/get_blob", &json(r#"{"blob_id":"abc"}"#)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidInput);
}

#[tokio::test]
async fn json_is_loaded_with_its_metadata() {
    let mut fixture = fixture();
    fixture.file("a.json", "{\n  \"b\": 1.0,\n  \"a\": [1, 2]\n}\n");
    let loaded = fixture.run("/load_file", r#"{"path":"a.json"}"#).await;
    assert_eq!(loaded.field("data"), Some(json(r#"{"b":1.0,"a":[1,2]}"#)));
    let metadata = loaded.field("metadata").unwrap();
    assert_eq!(metadata.field("format"), Some(Value::string("json")));
    assert_eq!(metadata.field("size_bytes"), Some(Value::from(30_u64)));
    let path = fixture.outer.path().canonicalize().unwrap().join("work/a.json");
    assert_eq!(metadata.field("resolved_path"), Some(Value::string(path.to_str().unwrap())));
}

#[tokio::test]
async fn csv_rows_are_objects_of_strings() {
    let mut fixture = fixture();
    fixture.file("a.csv", "\u{feff}day,\"the \"\"rain\"\"\"\r\n2012-01-01,0.5\r\n2012-01-02,\"1,\n5\"\r\n");
    let loaded = fixture.run("/load_file", r#"{"path":"a.csv"}"#).await;
    let rows = json(r#"[{"day":"2012-01-01","the \"rain\"":"0.5"},{"day":"2012-01-02","the \"rain\"":"1,\n5"}]"#);
    assert_eq!(loaded.field("data"), Some(rows));
}

#[tokio::test]
async fn a_csv_file_with_only_a_header_has_no_rows() {
    let mut fixture = fixture();
    fixture.file("a.csv", "day,rain\n");
    assert_eq!(fixture.run("/load_file", r#"{"path":"a.csv"}"#).await.field("data"), Some(json("[]")));
}

#[tokio::test]
async fn yaml_is_loaded_as_flows_are_read() {
    let mut fixture = fixture();
    fixture.file("a.yml", "on: no\nids: [9007199254740993, 1.0]\ntext: |\n  two\n  lines\n");
    let loaded = fixture.run("/load_file", r#"{"path":"a.yml"}"#).await;
    let expected = r#"{"on":"no","ids":[9007199254740993,1.0],"text":"two\nlines\n"}"#;
    assert_eq!(loaded.field("data"), Some(json(expected)));
    assert_eq!(loaded.field("metadata").unwrap().field("format"), Some(Value::string("yaml")));
}

#[tokio::test]
async fn the_format_overrides_the_extension() {
    let mut fixture = fixture();
    fixture.file("a.json", "plain");
    let loaded = fixture.run("/load_file", r#"{"path":"a.json","format":"text"}"#).await;
    assert_eq!(loaded.field("data"), Some(Value::string("plain")));
}

#[tokio::test]
async fn a_file_that_cannot_be_taken_says_where_and_why() {
    let mut fixture = fixture();
    fixture.file("ragged.csv", "a,b\n1,2\n3\n");
    fixture.file("twice.csv", "a,a\n1,2\n");
    fixture.file("empty.csv", "");
    fixture.file("broken.json", "{\n  \"a\": }\n");
    fixture.file("binary.txt", [0xff, 0xfe]);
    fixture.file("twice.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n");
    fixture.file("a.dat", "?");
    for (path, problem) in [
        ("ragged.csv", "ragged.csv:3: the row has 1 cells, the header has 2"),
        ("twice.csv", "twice.csv:1: two columns have the name `a`"),
        ("empty.csv", "it is empty"),
        ("broken.json", "broken.json:2:8: expected value"),
        ("binary.txt", "it is not UTF-8 text (byte 0)"),
        ("twice.yaml", "twice.yaml:4:3: "),
        ("a.dat", "say `format: json`, `yaml`, `csv` or `text`"),
    ] {
        let error = fixture.failure("/load_file", &format!(r#"{{"path":"{path}"}}"#)).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{path}");
        assert!(error.message.contains(problem), "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn a_missing_file_is_a_failure_of_the_component() {
    let error = fixture().failure("/load_file", r#"{"path":"nowhere.csv"}"#).await;
    assert_eq!(error.kind, ErrorKind::ComponentFailed);
    assert!(error.message.contains("there is no such file"), "{}", error.message);
}

#[tokio::test]
async fn only_files_are_read() {
    let error = fixture().failure("/load_file", r#"{"path":".","format":"text"}"#).await;
    assert!(error.message.contains("it is not a file"), "{}", error.message);
}

#[tokio::test]
async fn nothing_outside_the_working_directory_is_read() {
    let mut fixture = fixture();
    let outside = fixture.outer.path().join("secret.txt");
    fs::write(&outside, "secret").unwrap();
    std::os::unix::fs::symlink(&outside, fixture.outer.path().join("work/link.txt")).unwrap();
    for path in ["../secret.txt", "../nowhere.txt", outside.to_str().unwrap(), "link.txt", "x/../../secret.txt"] {
        let error = fixture.failure("/load_file", &format!(r#"{{"path":"{path}"}}"#)).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{path}");
        assert!(error.message.contains("outside the working directory"), "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn allowed_paths_are_read_as_well() {
    let mut fixture = fixture_with(&["../allowed"]);
    let allowed = fixture.outer.path().join("allowed");
    fs::create_dir(&allowed).unwrap();
    fs::write(allowed.join("a.txt"), "for all").unwrap();
    let loaded = fixture.run("/load_file", r#"{"path":"../allowed/a.txt"}"#).await;
    assert_eq!(loaded.field("data"), Some(Value::string("for all")));
}

#[tokio::test]
async fn a_link_inside_the_working_directory_is_followed() {
    let mut fixture = fixture();
    fixture.file("a.txt", "here");
    std::os::unix::fs::symlink("a.txt", fixture.outer.path().join("work/b.txt")).unwrap();
    let loaded = fixture.run("/load_file", r#"{"path":"./b.txt"}"#).await;
    assert_eq!(loaded.field("data"), Some(Value::string("here")));
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
async fn a_template_is_filled_in() {
    let mut fixture = fixture();
    for (template, text) in [
        ("Hello {{ name }}!\\n", "Hello Ann <3!\n"),
        ("{% for n in list %}{{ n }}{% if not loop.last %}, {% endif %}{% endfor %}", "1, 2.5, 9007199254740993"),
        ("{{ o | tojson }} {{ o.b }}", r#"{"b":true,"a":null} True"#),
        ("{{ none_here | default('-') }}", "-"),
    ] {
        let values = r#"{"name":"Ann <3","list":[1,2.5,9007199254740993],"o":{"b":true,"a":null}}"#;
        let filled = fixture.run("/template", &format!(r#"{{"template":"{template}","values":{values}}}"#)).await;
        assert_eq!(filled.field("text"), Some(Value::string(text)), "{template}");
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_says_what_is_wrong_in_which_line() {
    let mut fixture = fixture();
    for (template, problem) in [
        ("a\\n{{ nam }}", "in line 2: `values` has no `nam`"),
        ("{{ o.x.y }}", "in line 1: `values` has no `o.x"),
        ("{% for x in %}", "in line 1: syntax error"),
        ("{{ o | upercase }}", "in line 1: unknown filter"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}.{% endfor %}{% endfor %}", "takes too many steps"),
    ] {
        let input = format!(r#"{{"template":"{template}","values":{{"name":1,"o":{{}}}}}}"#);
        let error = fixture.failure("/template", &input).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{template}");
        assert!(error.message.contains(problem), "{template}: {}", error.message);
    }
}

#[tokio::test]
async fn wrong_input_is_refused_before_anything_runs() {
    let fixture = fixture();
    for (component, input) in [
        ("/create_messages", r#"{"prompt":"Hi"}"#),
        ("/template", r#"{"template":"x"}"#),
        ("/openai", r#"{"messages":[]}"#),
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
