//! How diagnostics look on a terminal.

mod common;

use common::yaml;
use stepflow_flow::{Code, Diagnostic, Diagnostics, Level, Path, Source};

fn rendered(text: &str) -> String {
    let loaded = yaml(text);
    loaded.diagnostics.render(&loaded.source, false)
}

#[test]
fn a_cycle_shows_message_place_underline_label_and_help() {
    let text = "name: n\ndescription: d\nsteps:\n  - id: clean\n    component: /x\n    input:\n      rows: { $step: join }\n  - id: join\n    component: /x\n    input: { $step: clean }\noutput: { $step: join }\n";
    let expected = "\
error[3005]: dependency cycle: `clean` → `join` → `clean`
 --> flow.yaml:7:15
  |
7 |       rows: { $step: join }
  |               ^^^^^^^^^^^ `clean` needs `join`, defined at line 8
  |
  = help: break the loop, or pass the value through the flow's input
";
    assert_eq!(rendered(text), expected);
}

#[test]
fn wide_characters_keep_the_underline_in_place() {
    let shown = rendered("name: n\ndescription: d\noutput: {日本: 1, é: {$step: x}}\n");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[1], " --> flow.yaml:3:21");
    // Two columns for each of the two wide characters: 20 characters before, 22 columns.
    assert_eq!(lines[4], format!("  | {}^^^^^^^^", " ".repeat(22)));
}

#[test]
fn a_very_long_line_is_cut_around_the_mistake() {
    let filler = "x".repeat(5_000);
    let shown = rendered(&format!("{{name: n, description: {filler}, output: {{$step: nowhere}}, version: {filler}}}"));
    assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
    assert!(shown.contains(" --> flow.yaml:1:5035\n"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let at = lines.iter().position(|line| line.contains('^')).unwrap();
    let (excerpt, marks) = (lines[at - 1], lines[at]);
    let start = marks.chars().position(|mark| mark == '^').unwrap();
    assert!(excerpt.chars().skip(start).collect::<String>().starts_with("$step: nowhere"), "{shown}");
}

#[test]
fn a_part_of_a_long_line_has_no_mark_of_a_second_file() {
    let filler = "x".repeat(500);
    let loaded = yaml(&format!("{{name: n, description: {filler}, output: {{$step: nowhere}}}}"));
    let plain = "error[3003]: there is no step `nowhere`\n --> flow.yaml:1:535\n  |\n1 | ...";
    assert!(loaded.diagnostics.render(&loaded.source, false).starts_with(plain));
    assert!(!loaded.diagnostics.render(&loaded.source, true).contains(":::"));
}

#[test]
fn colors_appear_only_when_asked_for() {
    let loaded = yaml("output: {$step: x}");
    assert!(!loaded.diagnostics.render(&loaded.source, false).contains('\x1b'));
    assert!(loaded.diagnostics.render(&loaded.source, true).contains("\x1b[1m\x1b[31merror[3003]\x1b[0m"));
}

#[test]
fn a_raised_level_is_shown_in_place_of_the_one_of_the_code() {
    let source = Source::yaml("config.yaml", "workers: 1\n");
    let path = Path::root().field("workers");
    let mut diagnostic = Diagnostic::new(Code::NotBuilt, &path, "not built yet");
    diagnostic.level = Level::Error;
    let mut diagnostics: Diagnostics = [diagnostic.clone()].into_iter().collect();
    assert!(diagnostics.render(&source, false).starts_with("error[1900]: not built yet\n"));
    diagnostics.extend(vec![diagnostic; 101]);
    assert!(diagnostics.render(&source, false).ends_with("error[1900]: 2 more of these\n"));
    assert_eq!((diagnostics.num_error(), diagnostics.num_warning()), (102, 0));
}

#[test]
fn a_control_character_in_the_line_does_not_reach_the_terminal() {
    let shown = rendered("{\"output\": {\"$step\": \"x\", \"a\u{9b}31m\": 1}}");
    assert!(!shown.contains('\u{9b}'), "{shown:?}");
}

#[test]
fn a_line_break_in_a_name_begins_no_line_of_the_diagnostic() {
    let text = r#"{"steps": [{"id": "a\nb", "component": "/x", "input": {"$step": "c"}},
        {"id": "c", "component": "/x", "input": {"$step": "a\nb"}}], "output": {"$step": "c"}}"#;
    let shown = rendered(text);
    assert!(shown.contains("error[3005]: dependency cycle: `a␊b` → `c` → `a␊b`\n"), "{shown}");
    assert!(shown.contains("`a␊b` needs `c`"), "{shown}");
}
