//! Each rule of the structural checks: its code, its place, and its advice.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod common;

use common::{found, json, yaml};
use stepflow_flow::{Code, Diagnostic, Level, Path};

/// A flow with these steps and an output that mentions `a`.
fn steps(steps: &str) -> String {
    format!("name: n\ndescription: d\nsteps:\n{steps}output: {{$step: a}}\n")
}

#[test]
fn every_fatal_rule_points_at_its_mistake() {
    let cases: [(&str, u16, &str, usize, usize); 30] = [
        ("- {id: a, component: /x}\n- {id: a, component: /x}\n", 3000, "$.steps[1].id", 5, 8),
        ("- {id: a, component: /x}\n- {id: ' ', component: /x}\n", 3001, "$.steps[1].id", 5, 8),
        ("- {id: a, component: /x, input: {$step: a}}\n", 3002, "$.steps[0].input", 4, 34),
        ("- {id: a, component: /x, input: [{$step: b}]}\n", 3003, "$.steps[0].input[0]", 4, 35),
        ("- {id: a, component: /x, input: {$input: '$x'}}\n", 3006, "$.steps[0].input", 4, 42),
        ("- {id: a, component: /x, input: {k: {$input: '$[-1]'}}}\n", 3006, "$.steps[0].input.k", 4, 46),
        ("- {id: a, component: /x, input: {$if: 1}}\n", 3006, "$.steps[0].input", 4, 34),
        ("- {id: a, component: /x, input: {$coalesce: 1}}\n", 3006, "$.steps[0].input", 4, 45),
        ("- {id: a, component: /x, input: {$step: 1}}\n", 3006, "$.steps[0].input", 4, 41),
        ("- {id: a, component: /x, input: {$step: null}}\n", 3006, "$.steps[0].input", 4, 41),
        ("- {id: a, component: /x, input: {$variable: $}}\n", 3006, "$.steps[0].input", 4, 45),
        ("- {id: a, component: /x, input: {$variable: '$[0]'}}\n", 3006, "$.steps[0].input", 4, 45),
        ("- {id: a, component: /x, timeout: soon}\n", 3007, "$.steps[0].timeout", 4, 35),
        ("- {id: a, component: /x, timeout: -1}\n", 3007, "$.steps[0].timeout", 4, 35),
        ("- {id: a, component: /x, input: {$from: {step: b}}}\n", 3008, "$.steps[0].input", 4, 34),
        ("- {id: a, component: /x, skipIf: true}\n", 3008, "$.steps[0].skipIf", 4, 26),
        ("- {id: a, component: /x, skip: true}\n", 3008, "$.steps[0].skip", 4, 26),
        ("- {id: a, component: /x, transform: 1}\n", 3008, "$.steps[0].transform", 4, 26),
        ("- {id: a, component: /x, on_error: {action: fail}}\n", 3008, "$.steps[0].on_error", 4, 26),
        ("- {id: a, component: /x, input: {$input: x, onSkip: {}}}\n", 3008, "$.steps[0].input.onSkip", 4, 45),
        ("- {id: a, component: /x, onError: {action: skip}}\n", 3008, "$.steps[0].onError.action", 4, 44),
        ("- {id: a, component: /x, onError: {action: continue}}\n", 3008, "$.steps[0].onError.action", 4, 44),
        ("- {id: a, component: /x, onError: {action: retri}}\n", 3012, "$.steps[0].onError.action", 4, 44),
        ("- {id: a, component: /x, onError: {}}\n", 3013, "$.steps[0].onError.action", 4, 35),
        ("- {id: a, component: /x, mustExecute: yes}\n", 3012, "$.steps[0].mustExecute", 4, 39),
        ("- {id: a, component: /x}\n- 7\n", 3012, "$.steps[1]", 5, 3),
        ("- {id: a}\n", 3013, "$.steps[0].component", 4, 4),
        ("- {id: a, component: null}\n", 3013, "$.steps[0].component", 4, 4),
        ("- {component: /x}\n- {id: a, component: /x}\n", 3013, "$.steps[0].id", 4, 4),
        (
            "- {id: a, component: /x, onError: {action: retry, maxRetries: -1}}\n",
            3012,
            "$.steps[0].onError.maxRetries",
            4,
            63,
        ),
    ];
    for (text, code, path, line, column) in cases {
        let loaded = yaml(&steps(text));
        assert_eq!(found(&loaded), [(code, path.to_owned(), line, column)], "{text}");
        assert!(loaded.flow.is_none(), "{text}");
    }
}

#[test]
fn errors_and_warnings_leave_the_flow_usable() {
    let cases = [
        ("- {id: a, component: python/x}\n", 2500, "$.steps[0].component", "write `/python/x`"),
        ("- {id: a, component: /x, onEror: {}}\n", 2007, "$.steps[0].onEror", "did you mean `onError`?"),
        ("- {id: a, component: /x, inptu: {}}\n", 2007, "$.steps[0].inptu", "did you mean `input`?"),
        ("- {id: a, component: /x, input: {$input: x, defualt: 1}}\n", 1005, "$.steps[0].input.defualt", ""),
        (
            "- {id: a, component: /x, inputSchema: {}}\n",
            1005,
            "$.steps[0].inputSchema",
            "the keys here are `id`, `component`, `onError`, `input`, `mustExecute`, `metadata`, `timeout`",
        ),
        (
            "- {id: a, component: /x, input: {$variable: v}}\n",
            1004,
            "$.steps[0].input",
            "declare it under `schemas.properties.variables`",
        ),
    ];
    for (text, code, path, help) in cases {
        let loaded = yaml(&steps(text));
        let only = loaded.diagnostics.iter().next().unwrap();
        assert_eq!((only.code.number(), only.path.as_str()), (code, path), "{text}");
        assert_eq!(only.help.as_deref().unwrap_or_default(), help, "{text}");
        assert!(loaded.flow.is_some(), "{text}");
    }
}

#[test]
fn three_seeded_mistakes_give_three_diagnostics() {
    let loaded = yaml(&steps(
        "- {id: a, component: python/x, timeout: 3 weeks}\n- {id: b, component: /x, mustExecute: true, input: {$step: aa1}}\n",
    ));
    assert_eq!(
        found(&loaded),
        [
            (2500, "$.steps[0].component".to_owned(), 4, 22),
            (3007, "$.steps[0].timeout".to_owned(), 4, 41),
            (3003, "$.steps[1].input".to_owned(), 5, 53),
        ]
    );
}

#[test]
fn steps_may_refer_to_later_steps() {
    let loaded = yaml(&steps("- {id: a, component: /x, input: {$step: b}}\n- {id: b, component: /x}\n"));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
}

#[test]
fn a_cycle_is_named_once_with_its_shortest_loop() {
    let loaded = yaml(&steps(
        "- {id: a, component: /x, input: [{$step: b}, {$step: c}]}\n\
         - {id: b, component: /x, input: {$if: {$step: c}, then: 1}}\n\
         - {id: c, component: /x, input: {$variable: v, default: {$step: a}}}\n",
    ));
    let cycles: Vec<&Diagnostic> = loaded.diagnostics.iter().filter(|one| one.code == Code::DependencyCycle).collect();
    assert_eq!(cycles.len(), 1);
    assert_eq!(cycles[0].message, "dependency cycle: `a` → `c` → `a`");
    assert_eq!(cycles[0].path, "$.steps[0].input[1]");
    assert_eq!(cycles[0].label.as_deref(), Some("`a` needs `c`, defined at line 6"));
}

#[test]
fn two_separate_cycles_are_two_diagnostics() {
    let loaded = yaml(&steps(
        "- {id: a, component: /x, input: {$step: b}}\n- {id: b, component: /x, input: {$step: a}}\n\
         - {id: c, component: /x, input: {$step: d}}\n- {id: d, component: /x, input: {$step: c}}\n",
    ));
    assert_eq!(loaded.diagnostics.iter().filter(|one| one.code == Code::DependencyCycle).count(), 2);
}

#[test]
fn a_step_that_nothing_mentions_is_unreachable_unless_it_must_execute() {
    let loaded = yaml(&steps(
        "- {id: a, component: /x}\n- {id: b, component: /x}\n- {id: c, component: /x, mustExecute: true}\n",
    ));
    let unreachable: Vec<&str> = loaded
        .diagnostics
        .iter()
        .filter(|one| one.code == Code::UnreachableStep)
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(unreachable, ["$.steps[1]"]);
}

#[test]
fn a_misspelt_step_gets_the_near_name() {
    let loaded = yaml("steps: [{id: clean_rows, component: /x}]\noutput: {$step: claen_rows}");
    let undefined = loaded.diagnostics.iter().find(|one| one.code == Code::UndefinedStepReference).unwrap();
    assert_eq!(undefined.help.as_deref(), Some("did you mean `clean_rows`?"));
}

#[test]
fn undeclared_variables_are_told_apart_by_their_default() {
    let declared = "name: n\ndescription: d\nschemas: {type: object, properties: {variables: {type: object, properties: {lang: {type: string}}}}}\n";
    let cases = [
        ("{$variable: lang}", None),
        ("{$variable: lnag}", Some((2005, "did you mean `lang`?"))),
        ("{$variable: other, default: 1}", Some((2004, "declare it under `schemas.properties.variables.properties`"))),
    ];
    for (expression, expected) in cases {
        let loaded = yaml(&format!("{declared}output: {expression}\n"));
        let only = loaded.diagnostics.iter().next().map(|one| (one.code.number(), one.help.as_deref().unwrap()));
        assert_eq!(only, expected, "{expression}");
    }
}

#[test]
fn a_variable_without_any_declaration_warns_once() {
    let loaded = yaml("name: n\ndescription: d\noutput: [{$variable: v}, {$variable: v}, {$variable: w}]");
    assert_eq!(found(&loaded).iter().map(|one| one.0).collect::<Vec<_>>(), [1004, 1004]);
}

#[test]
fn the_right_key_beside_its_misspelling_is_not_suggested_again() {
    let loaded = yaml("name: n\ndescription: d\noutput: 1\nOutput: 2\n");
    let only = loaded.diagnostics.iter().next().unwrap();
    assert_eq!(only.help.as_deref(), Some("`output` is here already: remove one of them"));
}

#[test]
fn an_invalid_schema_is_placed_at_the_keyword() {
    let flow = |part: &str| format!("name: n\ndescription: d\nschemas:\n  properties:\n    {part}\n");
    let cases = [
        ("input: {type: objct}", "$.schemas.properties.input.type", 19),
        ("variables: {properties: {a: {minimum: x}}}", "$.schemas.properties.variables.properties.a.minimum", 43),
        ("steps: {properties: {s: {type: 3}}}", "$.schemas.properties.steps.properties.s.type", 36),
        ("output: {$ref: 'https://example.com/x.json'}", "$.schemas.properties.output.$ref", 20),
    ];
    for (part, path, column) in cases {
        let loaded = yaml(&flow(part));
        let found = found(&loaded);
        assert_eq!(found.len(), 1, "{part}");
        assert_eq!((found[0].0, found[0].2), (3009, 5), "{part}");
        assert!(path.starts_with(&found[0].1.replace("[\"$ref\"]", ".$ref")), "{part}: {}", found[0].1);
        assert!(found[0].3 <= column, "{part}");
    }
}

#[test]
fn schemas_share_their_definitions() {
    for reference in ["#/schemas/$defs/Money", "#/$defs/Money"] {
        let loaded = yaml(&format!(
            "schemas:\n  $defs: {{Money: {{type: number}}}}\n  properties:\n    input: {{properties: {{price: {{$ref: '{reference}'}}}}}}\n"
        ));
        assert!(loaded.flow.is_some(), "{}", loaded.diagnostics);
    }
}

#[test]
fn a_document_that_is_no_object_is_no_flow() {
    for text in ["- 1", "3", "", "null", "just text"] {
        assert_eq!(yaml(text).diagnostics.iter().next().map(|one| one.code), Some(Code::InvalidType), "{text:?}");
    }
}

#[test]
fn null_means_absent_everywhere() {
    let loaded = yaml(
        "{name: n, description: d, version: null, schemas: null, steps: null, output: null, test: null, examples: null, metadata: null, timeout: null}",
    );
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
}

#[test]
fn the_schema_key_of_published_flows_is_known() {
    let loaded = yaml("schema: https://stepflow.org/schemas/v1/flow.json\nname: n\ndescription: d\n");
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    assert_eq!(found(&yaml("schema: {type: object}\n"))[0].0, 2007);
}

#[test]
fn inside_a_literal_nothing_is_an_expression() {
    let loaded = yaml("name: n\ndescription: d\noutput: {$literal: {$step: nowhere, x: {$from: {}}}}\n");
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
}

#[test]
fn branches_have_the_published_paths() {
    let loaded = yaml("output: {$if: {$step: x}, then: {k: {$step: y}}, else: {$coalesce: [1, {$step: z}]}}");
    let paths: Vec<String> = found(&loaded).into_iter().map(|one| one.1).collect();
    assert_eq!(paths, ["$.output.condition", "$.output.then.k", "$.output.else[1]"]);
}

#[test]
fn a_finding_after_reading_gets_its_place_from_its_path() {
    let mut loaded = yaml(&steps("- {id: a, component: /pyhton/x}\n"));
    let path = Path::parse("$.steps[0].component").unwrap();
    loaded.add([Diagnostic::new(Code::UnknownComponent, &path, "nothing serves it")]);
    assert_eq!(found(&loaded), [(2501, "$.steps[0].component".to_owned(), 4, 22)]);
    assert!(loaded.flow.is_some());
}

#[test]
fn levels_follow_from_codes() {
    for code in Code::ALL {
        let expected = [Level::Warning, Level::Error, Level::Fatal][usize::from(code.number() / 1000 - 1)];
        assert_eq!(code.level(), expected);
    }
}

#[test]
fn diagnostics_as_json_have_kind_code_level_place_and_counts() {
    let data = json(
        r#"{"name": "n", "description": "d", "steps": [{"id": "a", "component": "x"}], "output": {"$step": "a"}}"#,
    )
    .diagnostics
    .to_json();
    assert_eq!(
        data,
        serde_json::json!({
            "diagnostics": [{
                "kind": "invalidComponent",
                "code": 2500,
                "level": "error",
                "formatted": "the component `x` is not a path: it must start with `/`",
                "path": "$.steps[0].component",
                "line": 1,
                "column": 70,
                "help": "write `/x`",
                "fix": [{"span": {"start": 69, "end": 72}, "replacement": "\"/x\""}],
            }],
            "numFatal": 0,
            "numError": 1,
            "numWarning": 0,
        })
    );
}

#[test]
fn of_the_same_mistake_a_hundred_are_kept_and_the_others_counted() {
    for (member, repeated) in [("steps", "7, "), ("output", "*x, ")] {
        let loaded = yaml(&format!("name: n\ndescription: d\n{member}: [{}]\n", repeated.repeat(250)));
        assert_eq!((loaded.diagnostics.len(), loaded.diagnostics.num_fatal()), (100, 250), "{member}");
        assert!(loaded.flow.is_none());
    }
    let loaded = yaml(&format!("name: n\ndescription: d\noutput: [{}]\n", "*x, ".repeat(250)));
    assert!(loaded.diagnostics.to_string().ends_with("error[3010]: 150 more of these"));
    assert!(loaded.diagnostics.render(&loaded.source, false).ends_with("\nerror[3010]: 150 more of these\n"));
}

#[test]
fn a_reference_in_a_subflow_without_literal_is_told_to_wrap_it() {
    let text = |component: &str, member: &str| {
        format!(
            "steps:\n- id: a\n  component: {component}\n  input:\n    items: [1]\n    {member}:\n      \
             steps: [{{id: inner, component: /x, input: {{$input: x}}}}]\n      output: {{$step: inner}}\noutput: {{$step: a}}\n"
        )
    };
    let help = |component, member| {
        let loaded = yaml(&text(component, member));
        loaded.diagnostics.iter().find(|one| one.code.number() == 3003).unwrap().help.clone().unwrap()
    };
    assert_eq!(help("/builtin/map", "workflow"), "wrap the sub-flow in `$literal`");
    assert_eq!(help("/builtin/iterate", "flow"), "wrap the sub-flow in `$literal`");
    assert_eq!(help("/builtin/map", "items_of"), "the steps are `a`");
    assert_eq!(help("/other", "workflow"), "the steps are `a`");
}

#[test]
fn what_beginners_write_is_answered_with_what_to_write() {
    let cases = [
        ("steps: {a: {component: /x}}\noutput: {$step: a}\n", "steps are a list: begin each one with `- id: …`"),
        ("", "the document is empty; a flow has `steps` and an `output`"),
        ("- {id: a, component: /x}\n", "a flow has `steps` and an `output`"),
        ("steps: [{id: a, component: /x, onError: retry}]\n", "write `onError: {action: retry}`"),
        ("steps: [{id: a, component: /x}]\noutput: {$step: a.rows}\n", "write `{$step: a, path: $.rows}`"),
        ("steps: [{id: a, component: /x}]\noutput: {$step: A}\n", "did you mean `a`?"),
        ("output: {$coalesce: {$input: x}}\n", "write `$coalesce: [first, second]`"),
        ("output: $step.a.rows[0]\n", "write `{$step: a, path: $.rows[0]}`, or wrap the text in `$literal`"),
        ("output: ${input.name}\n", "write `{$input: $.name}`, or wrap the text in `$literal`"),
        ("output: {$input: a.b}\n", "write `$.a.b` for a path through objects, or `$[\"a.b\"]` for this key"),
        (
            "steps: [{id: a, component: /x, onError: {action: retry, attempts: 3}}]\n",
            "the keys here are `action`, `maxRetries`, `backoff`, `retryOn`, `exhausted`, `defaultValue`",
        ),
        ("output: {$inputs: a}\n", "did you mean `$input`? If not, wrap the object in `$literal`"),
    ];
    for (text, help) in cases {
        let loaded = yaml(text);
        let helps: Vec<_> = loaded.diagnostics.iter().filter_map(|one| one.help.as_deref()).collect();
        assert_eq!(
            helps.iter().filter(|one| !one.starts_with("use its result")).collect::<Vec<_>>(),
            [&help],
            "{text}"
        );
    }
}
