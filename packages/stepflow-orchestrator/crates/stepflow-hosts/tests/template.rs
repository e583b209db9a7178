//! `/template`: how it fills in templates, and that no template harms the server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::sync::Arc;

use stepflow_engine::ports::{Answer, ComponentHost as _, TaskEnvelope};
use stepflow_hosts::{BuiltinHost, BuiltinOptions};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use suite::{InboxEvent, InboxEvents, MemoryBlobs, inbox, json, task};

struct Fixture {
    host: BuiltinHost,
    events: InboxEvents,
}

fn fixture() -> Fixture {
    let (inbox, events) = inbox();
    let renderer = Some(env!("CARGO_BIN_EXE_template_renderer").into());
    let options = BuiltinOptions { renderer, ..BuiltinOptions::default() };
    Fixture { host: BuiltinHost::new(options, inbox, Arc::new(MemoryBlobs::default())), events }
}

/// The input of a step with this template and these values.
fn input(template: &str, values: Value) -> Value {
    Value::object([("template", Value::string(template)), ("values", values)])
}

fn step(template: &str) -> TaskEnvelope {
    task("/template", input(template, json("{}")))
}

impl Fixture {
    async fn fill(&mut self, input: Value) -> Value {
        self.host.resolve("/template", &input).unwrap();
        self.host.offer(task("/template", input));
        self.events.output().await.field("text").unwrap()
    }

    async fn failure(&mut self, input: Value) -> FlowError {
        self.host.offer(task("/template", input));
        self.events.failure().await
    }

    async fn refusal(&mut self, template: &str) -> String {
        let error = self.failure(input(template, json("{}"))).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{template:.200}: {error:?}");
        error.message
    }

    async fn still_renders(&mut self) {
        assert_eq!(self.fill(input("{{ 1 + 1 }}", json("{}"))).await, Value::string("2"));
    }
}

#[tokio::test]
async fn a_template_is_filled_in() {
    let mut fixture = fixture();
    for (template, text) in [
        ("Hello {{ name }}!\n", "Hello Ann <3!\n"),
        ("{% for n in list %}{{ n }}{% if not loop.last %}, {% endif %}{% endfor %}", "1, 2.5, 9007199254740993"),
        ("{{ o | tojson }} {{ o.b }}", r#"{"b":true,"a":null} True"#),
        ("{{ none_here | default('-') }}", "-"),
    ] {
        let values = json(r#"{"name":"Ann <3","list":[1,2.5,9007199254740993],"o":{"b":true,"a":null}}"#);
        assert_eq!(fixture.fill(input(template, values)).await, Value::string(text), "{template}");
    }
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_says_what_is_wrong_in_which_line() {
    let mut fixture = fixture();
    for (template, problem) in [
        ("a\n{{ nam }}", "in line 2: `values` has no `nam`"),
        ("{{ o.x.y }}", "in line 1: `values` has no `o.x"),
        ("{% for x in %}", "in line 1: syntax error"),
        ("{{ o | upercase }}", "in line 1: unknown filter"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}.{% endfor %}{% endfor %}", "takes too many steps"),
    ] {
        let error = fixture.failure(input(template, json(r#"{"name":1,"o":{}}"#))).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput, "{template}");
        assert!(error.message.contains(problem), "{template}: {}", error.message);
    }
}

#[tokio::test]
async fn a_template_of_many_names_is_not_repeated_in_its_failure() {
    let name = "x".repeat(1_000_000);
    let message = fixture().refusal(&format!("{{{{ 1 | {name} }}}}")).await;
    assert!(message.len() < 1000, "{} bytes", message.len());
}

#[tokio::test]
async fn a_template_that_needs_too_much_memory_ends_its_renderer_and_nothing_else() {
    let mut fixture = fixture();
    for template in [
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = ns.x|replace('b', ns.x) %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x]|join(ns.x) %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(40) %}{% set ns.x = '%s%s'|format(ns.x, ns.x) %}{% endfor %}",
        "{% set x = 'a' * 90000000 %}{{ (x|list)|length }}",
        "{% set x = 'a,' * 40000000 %}{{ (x|split(',')|list)|length }}",
        "{% set x = ('a\n' * 40000000)|indent(90) %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x|list + ns.x|list %}{% set ns.x = ns.x|list %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{% set t = ns.x|tojson(indent=90) %}",
        "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(x='ab') %}\
         {% for i in range(40) %}{% set ns.x = twice(ns.x) %}{% endfor %}",
        "{% filter replace('a', 'b' * 90000000) %}aaaaaaaaaaaa{% endfilter %}",
    ] {
        let message = fixture.refusal(template).await;
        assert_eq!(message, "the template needs more than 256 MiB of memory", "{template}");
        fixture.still_renders().await;
    }
    assert!(peak_memory_mib() < 256, "{} MiB", peak_memory_mib());
}

/// The most memory that this process has used so far.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn a_template_that_makes_too_much_text_is_refused() {
    let mut fixture = fixture();
    for template in [
        "{{ 'x' * 16777217 }}",
        "{% for i in range(20000) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    ] {
        assert_eq!(fixture.refusal(template).await, "the template makes more than 16 MiB of text", "{template}");
    }
    let text = fixture.fill(input("{{ 'x' * 16777216 }}", json("{}"))).await;
    assert_eq!(text.as_bytes().len(), 16 * 1024 * 1024 + 2);
}

#[tokio::test]
async fn a_template_that_nests_too_deeply_is_refused() {
    let mut fixture = fixture();
    for template in [
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}".to_owned(),
        "{% macro again() %}{% call again() %}{% endcall %}{{ caller() }}{% endmacro %}{{ again() }}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
        format!("{{{{ {}true }}}}", "not ".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " + 1".repeat(100_000)),
        format!("{{{{ x{} }}}}", ".x".repeat(100_000)),
        format!("{{{{ 1{} }}}}", "|int".repeat(100_000)),
        "{% if 1 %}".repeat(100_000),
        // Dropping the value recurses too deeply.
        "{% set ns = namespace(x=[1]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}".to_owned(),
    ] {
        fixture.host.offer(task("/template", input(&template, json("{}"))));
        // Some of them nest more deeply than they look, and others less.
        match fixture.events.answer().await.1 {
            Answer::Failed(failure) => assert_eq!(failure.error.kind, ErrorKind::InvalidInput, "{failure:?}"),
            other => assert!(matches!(other, Answer::Success(_)), "{other:?}"),
        }
        fixture.still_renders().await;
    }
    let message = fixture.refusal(&format!("{{{{ {}1 }}}}", "1 ~ ".repeat(1_000_000))).await;
    assert_eq!(message, "the template nests too deeply");
}

const ENDLESS: &str = "{% set ns = namespace(x=[1], y=[1]) %}\
    {% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}";

#[tokio::test]
async fn a_template_that_takes_too_long_is_ended_while_other_steps_go_on() {
    let mut fixture = fixture();
    let endless = step(ENDLESS);
    fixture.host.offer(endless.clone());
    assert_eq!(fixture.events.next().await, InboxEvent::Started(endless.task, None));
    fixture.host.offer(task("/noop", json("1")));
    assert_eq!(fixture.events.output().await, json("1"));
    assert_eq!(fixture.events.failure().await.message, "the template takes more than 5 s of processor time");
    fixture.still_renders().await;
}

#[tokio::test]
async fn a_template_that_is_cancelled_gives_its_place_to_the_next() {
    let mut fixture = fixture();
    let steps: Vec<_> = (0..std::thread::available_parallelism().unwrap().get()).map(|_| step(ENDLESS)).collect();
    for step in &steps {
        fixture.host.offer(step.clone());
        assert_eq!(fixture.events.next().await, InboxEvent::Started(step.task, None));
    }
    for step in &steps {
        fixture.host.cancel(&step.route, step.address(), "enough");
        assert_eq!(fixture.events.answer().await, (step.task, Answer::Cancelled));
    }
    fixture.still_renders().await;
}

#[tokio::test]
async fn a_template_sees_nothing_of_the_template_before_it() {
    let mut fixture = fixture();
    fixture.fill(input("{% set left = 'over' %}{{ name }}", json(r#"{"name":"Ann"}"#))).await;
    for name in ["left", "name"] {
        let message = fixture.refusal(&format!("{{{{ {name} }}}}")).await;
        assert!(message.ends_with(&format!("`values` has no `{name}`")), "{message}");
    }
}

#[tokio::test]
async fn integers_keep_their_digits_and_what_cannot_is_refused_with_its_place() {
    let mut fixture = fixture();
    for digits in ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "1.5", "0"] {
        let values = json(&format!("{{\"x\":[{digits}]}}"));
        let text = fixture.fill(input("{{ x[0] }} {{ x | tojson }}", values)).await;
        assert_eq!(text, Value::string(&format!("{digits} [{digits}]")));
    }
    for digits in ["9".repeat(60), "1e999".to_owned()] {
        let error = fixture.failure(input("-", json(&format!("{{\"a b\":[1,{digits}]}}")))).await;
        assert_eq!(error.kind, ErrorKind::InvalidInput);
        assert!(error.message.contains("`$.values[\"a b\"][1]`"), "{}", error.message);
    }
}
