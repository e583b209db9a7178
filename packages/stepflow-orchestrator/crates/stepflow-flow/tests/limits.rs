//! Documents that are as large as allowed, and larger ones. The memory is that of the whole process, so one test
//! measures all of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod effort;

use effort::{Clock, LONGEST, MOST_MEMORY, most_memory};
use stepflow_flow::{Diagnostics, Format, Source, load, read_value};

/// A document that fits into 16 MiB: `before`, then `piece` as often as there is room, then `after`.
fn dense(format: Format, before: &str, piece: &str, after: &str) -> Source {
    let room = 16 * 1024 * 1024 - before.len() - after.len();
    let text = format!("{before}{}{after}", piece.repeat(room / piece.len()));
    Source::new("flow", text, format)
}

/// Loads a document within the time that it may take.
fn loaded(source: Source) -> Diagnostics {
    let start: String = String::from_utf8_lossy(&source.text[..40]).into_owned();
    let begun = Clock::start();
    let diagnostics = load(source).diagnostics;
    let took = begun.elapsed();
    assert!(took <= *LONGEST, "{start}… took {took:?}");
    diagnostics
}

#[test]
fn no_dense_document_costs_much() {
    refused_at_the_value_that_passes_the_limit();
    read_up_to_the_limit();
    if let Some(memory) = most_memory() {
        assert!(memory <= MOST_MEMORY, "{memory} KiB");
    }
}

fn refused_at_the_value_that_passes_the_limit() {
    use Format::{Json, Yaml};
    // The values before the repeated piece count too: the flow and the array are two.
    let cases = [
        (Yaml, "steps: [", "1,", "1]", "$.steps[399998]"),
        (Json, "{\"steps\": [", "1,", "1]}", "$.steps[399998]"),
        (Yaml, "output:\n", "- 1\n", "", "$.output[399998]"),
        (Json, "{\"output\": [", "[[]],", "0]}", "$.output[199999]"),
        (Json, "{\"output\": {", "\"a\":1,", "\"b\":1}}", "$.output.a"),
        (Yaml, "output: [", "*a,", "]", "$.output[399998]"),
        (Yaml, "output: [", "*a : ,", "]", "$.output[199999]"),
        (Yaml, "output: [", "&a 1,*a,", "]", "$.output[399998]"),
        (Yaml, "metadata: {a: &a [1, 2, 3, 4]}\noutput: [", "*a, ", "]", "$.output[79998]"),
    ];
    for (format, before, piece, after, path) in cases {
        let diagnostics = loaded(dense(format, before, piece, after));
        let limits = diagnostics.iter().filter(|one| one.code.number() == 3014);
        assert_eq!(limits.map(|one| one.path.as_str()).collect::<Vec<_>>(), [path], "{before}{piece}");
    }
}

fn read_up_to_the_limit() {
    let documents = [
        format!("steps: [{}]", "1,".repeat(399_998)),
        format!("output: [{}]", "{$step: x},".repeat(199_999)),
        format!("steps: [{}]", "{id: a, component: /x},".repeat(133_332)),
    ];
    for document in documents {
        let diagnostics = loaded(Source::yaml("flow.yaml", document));
        assert!(diagnostics.iter().all(|one| one.code.number() != 3014), "{diagnostics}");
    }
}

#[test]
fn a_flow_of_ten_thousand_steps_with_rich_inputs_is_within_the_limits() {
    let step = |index: usize| {
        format!(
            "- id: s{index}\n  component: /x/y\n  timeout: 5s\n  onError: {{action: retry, maxRetries: 3}}\n  \
             metadata: {{title: t, owner: o}}\n  input: {{a: {{$step: s{}}}, b: {{$input: b}}, c: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], d: text}}\n",
            index.saturating_sub(1)
        )
    };
    let steps: String = (1..10_000).map(step).collect();
    let loaded = load(Source::yaml(
        "flow.yaml",
        format!("steps:\n- {{id: s0, component: /x}}\n{steps}output: {{$step: s9999}}"),
    ));
    assert!(loaded.flow.is_some(), "{}", loaded.diagnostics);
}

#[test]
fn data_may_have_more_values_than_a_flow() {
    let values = vec!["1"; 600_000].join(",");
    for source in [Source::json("in.json", format!("[{values}]")), Source::yaml("in.yaml", format!("[{values}]"))] {
        assert_eq!(read_value(&source).unwrap().as_str().len(), values.len() + 2);
    }
}
