//! `/load_file`: the formats that it reads, and the files that it does not.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod builtin_fixture;
#[allow(dead_code)]
mod suite;

use std::fs;

use builtin_fixture::{fixture, fixture_of, fixture_with};
use std::sync::Arc;

use stepflow_engine::ports::{Answer, ComponentHost as _};
use stepflow_hosts::{BuiltinHost, BuiltinOptions};
use stepflow_protocol::{ErrorKind, Value};
use suite::{MemoryBlobs, inbox, json, task};

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
    fixture.file("open.csv", "a,b\r\n1,2\r\n3,\"x\r\n4,5\r\n");
    fixture.file("parts.csv", "a,b\n\"1\n\"\"2\",\"x\"y\n");
    fixture.file("nameless.csv", "a,,c\n1,2,3\n");
    fixture.file("empty.csv", "");
    fixture.file("broken.json", "{\n  \"a\": }\n");
    fixture.file("binary.txt", [b'a', 0xfe]);
    fixture.file("twice.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n");
    fixture.file("a.dat", "?");
    for (path, problem) in [
        ("ragged.csv", "ragged.csv:3: the row has 1 cells, the header has 2"),
        ("open.csv", "open.csv:3: the quote that begins in this line is never closed"),
        ("parts.csv", "parts.csv:3: text follows the quote that ends a cell"),
        ("twice.csv", "twice.csv:1: two columns have the name `a`"),
        ("nameless.csv", "nameless.csv:1: column 2 has no name"),
        ("empty.csv", "it is empty"),
        ("broken.json", "broken.json:2:8: expected value"),
        ("binary.txt", "it is not UTF-8 text (byte 1)"),
        ("twice.yaml", "twice.yaml:4:3: "),
        ("a.dat", "say `format: json`, `yaml`, `csv` or `text`"),
    ] {
        let error = fixture.failure("/load_file", &format!(r#"{{"path":"{path}"}}"#)).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{path}");
        assert!(error.message.contains(problem), "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn quotes_stand_around_whole_cells() {
    let mut fixture = fixture();
    fixture.file("quoted.csv", "\"a\",b\n\"1,\"\"2\"\"\n\",\"\"\nx\"y,\"\"\"\"\"\"");
    let loaded = fixture.run("/load_file", r#"{"path":"quoted.csv"}"#).await;
    let rows = json(r#"[{"a":"1,\"2\"\n","b":""},{"a":"x\"y","b":"\"\""}]"#);
    assert_eq!(loaded.field("data"), Some(rows));
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
async fn what_lies_in_the_working_directory_for_the_server_alone_is_not_read() {
    let mut fixture = fixture_of(BuiltinOptions {
        config_files: vec!["server.yml".into(), "stepflow-config.yml".into()],
        ..BuiltinOptions::default()
    });
    let work = fixture.outer.path().join("work");
    for folder in [".stepflow", "a/.hidden/b"] {
        fs::create_dir_all(work.join(folder)).unwrap();
    }
    for file in [".env", ".stepflow/state.db", "a/.hidden/b/c.txt", "server.yml", "stepflow-config.yml"] {
        fixture.file(file, "secret: 1");
    }
    for (link, target) in [("env.txt", ".env"), ("state", ".stepflow"), ("other.yml", "server.yml")] {
        std::os::unix::fs::symlink(target, work.join(link)).unwrap();
    }
    fs::hard_link(work.join("server.yml"), work.join("hard.yml")).unwrap();
    for (path, problem) in [
        (".env", "what begins with a dot is not read"),
        (".stepflow/state.db", "what begins with a dot is not read"),
        (".stepflow/none.db", "what begins with a dot is not read"),
        ("a/.hidden/b/c.txt", "what begins with a dot is not read"),
        ("a/../.env", "what begins with a dot is not read"),
        ("env.txt", "what begins with a dot is not read"),
        ("state/state.db", "what begins with a dot is not read"),
        ("stepflow-config.yml", "it is the configuration of a server"),
        ("server.yml", "it is the configuration of a server"),
        ("./a/../server.yml", "it is the configuration of a server"),
        ("other.yml", "it is the configuration of a server"),
        ("hard.yml", "it is the configuration of a server"),
    ] {
        let error = fixture.failure("/load_file", &format!(r#"{{"path":"{path}","format":"text"}}"#)).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{path}");
        assert!(error.message.contains(problem), "{path}: {}", error.message);
        assert!(error.message.contains("list it in the builtin plugin's `allowPaths`"), "{path}: {}", error.message);
    }
}

#[tokio::test]
async fn what_the_config_lists_is_read_whatever_its_name() {
    let options = BuiltinOptions {
        allow_paths: vec![".env".into(), ".data".into(), "server.yml".into()],
        config_files: vec!["server.yml".into(), "stepflow-config.yml".into()],
        ..BuiltinOptions::default()
    };
    let mut fixture = fixture_of(options);
    fs::create_dir_all(fixture.outer.path().join("work/.data/.deep")).unwrap();
    for path in [".env", ".data/.deep/a.txt", "server.yml"] {
        fixture.file(path, "for all");
        let loaded = fixture.run("/load_file", &format!(r#"{{"path":"{path}","format":"text"}}"#)).await;
        assert_eq!(loaded.field("data"), Some(Value::string("for all")), "{path}");
    }
}

#[tokio::test]
async fn a_file_with_two_names_is_read_by_either() {
    let mut fixture = fixture();
    fixture.file("a.txt", "here");
    let work = fixture.outer.path().join("work");
    fs::hard_link(work.join("a.txt"), work.join("b.txt")).unwrap();
    let loaded = fixture.run("/load_file", r#"{"path":"b.txt"}"#).await;
    assert_eq!(loaded.field("data"), Some(Value::string("here")));
}

#[tokio::test]
async fn a_pipe_is_refused_without_waiting_for_its_other_end() {
    let mut fixture = fixture();
    let pipe = fixture.outer.path().join("work/pipe.txt");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = fixture.failure("/load_file", r#"{"path":"pipe.txt"}"#).await;
    assert!(error.message.contains("it is not a file"), "{}", error.message);
}

#[tokio::test]
async fn nothing_of_the_system_is_read_where_everything_is_the_working_directory() {
    let (inbox, mut events) = inbox();
    let options = BuiltinOptions { working_dir: "/".into(), ..BuiltinOptions::default() };
    let host = BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default()));
    for path in ["/proc/self/environ", "/proc/self/fd/0", "/dev/zero", "/sys/kernel/profiling"] {
        host.offer(task("/load_file", json(&format!(r#"{{"path":"{path}","format":"text"}}"#))));
        let error = events.failure().await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{path}");
    }
}

/// While one thread reads `a/x.txt`, another puts a link to a folder outside in the place of `a`, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_becomes_a_link_meanwhile_leads_nowhere() {
    let mut fixture = fixture();
    let outer = fixture.outer.path().to_owned();
    let work = outer.join("work");
    for (folder, content) in [(outer.join("outside"), "secret"), (work.join("a"), "here")] {
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x.txt"), content).unwrap();
    }
    std::os::unix::fs::symlink(outer.join("outside"), work.join("link")).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let swapping = std::thread::spawn(move || {
        while stopped.try_recv().is_err() {
            rustix::fs::renameat_with(
                rustix::fs::CWD,
                work.join("a"),
                rustix::fs::CWD,
                work.join("link"),
                rustix::fs::RenameFlags::EXCHANGE,
            )
            .unwrap();
        }
    });
    let mut loads = 0;
    for _ in 0..2000 {
        fixture.host.offer(task("/load_file", json(r#"{"path":"a/x.txt"}"#)));
        if let Answer::Success(loaded) = fixture.events.answer().await.1 {
            loads += 1;
            assert_eq!(loaded.field("data"), Some(Value::string("here")));
        }
    }
    stop.send(()).unwrap();
    swapping.join().unwrap();
    assert!(loads > 0, "nothing was ever loaded");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused() {
    let mut fixture = fixture();
    let most = 64 * 1024 * 1024;
    fixture.file("large.txt", "x".repeat(most));
    let loaded = fixture.run("/load_file", r#"{"path":"large.txt"}"#).await;
    assert_eq!(loaded.field("metadata").unwrap().field("size_bytes"), Some(Value::from(most as u64)));
    fixture.file("large.txt", "x".repeat(most + 1));
    let error = fixture.failure("/load_file", r#"{"path":"large.txt"}"#).await;
    assert!(error.message.contains("it is larger than 64 MiB"), "{}", error.message);
    let name = "x".repeat(100_000);
    fixture.file("wide.csv", format!("{name}\n{}", "1\n".repeat(3000)));
    let error = fixture.failure("/load_file", r#"{"path":"wide.csv"}"#).await;
    assert!(error.message.contains("its rows come to more than 256 MiB as JSON"), "{}", error.message);
}

#[tokio::test]
async fn what_separates_the_cells_of_a_csv_file_is_told_from_its_text() {
    let mut fixture = fixture();
    for (text, rows) in [
        ("a,b\n1,2\n", r#"[{"a":"1","b":"2"}]"#),
        ("a;b\r\n1,5;2,5\r\n", r#"[{"a":"1,5","b":"2,5"}]"#),
        ("a\tb\n1\t2;3\n", r#"[{"a":"1","b":"2;3"}]"#),
        ("a|b\n1|2\n", r#"[{"a":"1","b":"2"}]"#),
        ("a\n1;2\n", r#"[{"a":"1;2"}]"#),
        ("\"a,b\";c\n1;2\n", r#"[{"a,b":"1","c":"2"}]"#),
        ("a, in m;b\n1;2\n", r#"[{"a, in m":"1","b":"2"}]"#),
    ] {
        fixture.file("a.csv", text);
        let loaded = fixture.run("/load_file", r#"{"path":"a.csv"}"#).await;
        assert_eq!(loaded.field("data"), Some(json(rows)), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_of_a_csv_file_is_asked_for() {
    let mut fixture = fixture();
    fixture.file("a.csv", "a;b,c\n1;2,3\n");
    let error = fixture.failure("/load_file", r#"{"path":"a.csv"}"#).await;
    assert!(error.message.contains("what separates its cells cannot be told: say `delimiter`"), "{}", error.message);
    let loaded = fixture.run("/load_file", r#"{"path":"a.csv","delimiter":";"}"#).await;
    assert_eq!(loaded.field("data"), Some(json(r#"[{"a":"1","b,c":"2,3"}]"#)));
}

#[tokio::test]
async fn the_line_of_a_csv_mistake_is_the_line_that_an_editor_shows() {
    let mut fixture = fixture();
    for (text, line) in [
        ("a,b\r\n1,2\r\n3\r\n", 3),
        ("a,b\r\n\"1\r\n1\",2\r\n\r\n3\r\n", 5),
        ("a,b\n\n\n1,2\n3\n", 5),
        ("a,b\r1,2\r3\r", 3),
        ("\n\na,a\n", 3),
        ("\u{feff}a,\n", 1),
    ] {
        fixture.file("a.csv", text);
        let error = fixture.failure("/load_file", r#"{"path":"a.csv"}"#).await;
        assert!(error.message.starts_with(&format!("a.csv:{line}: ")), "{text:?}: {}", error.message);
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_any_text() {
    let mut fixture = fixture();
    for (path, text, data) in [
        ("a.json", "\u{feff}{\"a\":1}", r#"{"a":1}"#),
        ("a.yaml", "\u{feff}a: 1\n", r#"{"a":1}"#),
        ("a.csv", "\u{feff}a\n1\n", r#"[{"a":"1"}]"#),
        ("a.txt", "\u{feff}a", r#""a""#),
    ] {
        fixture.file(path, text);
        let loaded = fixture.run("/load_file", &format!(r#"{{"path":"{path}"}}"#)).await;
        assert_eq!(loaded.field("data"), Some(json(data)), "{path}");
    }
}

#[tokio::test]
async fn text_in_utf_16_is_refused_by_name() {
    let mut fixture = fixture();
    let mark: &[u8] = &[0xff, 0xfe];
    for (path, mark) in [("a.json", mark), ("a.csv", mark), ("a.yaml", mark), ("a.txt", mark), ("b.json", &[])] {
        let text: Vec<u8> = r#"{"a":1}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
        fixture.file(path, [mark, &text].concat());
        let error = fixture.failure("/load_file", &format!(r#"{{"path":"{path}"}}"#)).await;
        assert!(error.message.contains("it is UTF-16: save it as UTF-8"), "{path}: {}", error.message);
    }
}
