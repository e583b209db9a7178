//! Routes, in every form that configs have.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_engine::event::Route;
use stepflow_engine::ports::{Address, Answer, ComponentHost, Purity, Target, TaskEnvelope};
use stepflow_hosts::{Condition, RouteError, Router, Rule};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use suite::{InboxEvents, inbox, json, task};

/// A host that serves these components.
struct Serving(&'static [&'static str]);

impl ComponentHost for Serving {
    fn resolve(&self, path: &str, _input: &Value) -> Result<Target, FlowError> {
        if self.0.contains(&path) {
            let route = Route { plugin: "itself".to_owned(), component: path.to_owned() };
            return Ok(Target::Component { route, purity: Purity::Read });
        }
        Err(FlowError::new(ErrorKind::ComponentNotFound, "no").with([("nearest", Value::string("/clean"))]))
    }

    fn offer(&self, _task: TaskEnvelope) {}

    fn cancel(&self, _route: &Route, _task: Address, _reason: &str) {}
}

fn rules(plugin: &str, component: Option<&str>) -> Vec<Rule> {
    vec![Rule { component: component.map(str::to_owned), ..Rule::to(plugin) }]
}

fn build(routes: &[(&str, &str, Option<&str>)]) -> Result<(Router, InboxEvents), RouteError> {
    compile(routes.iter().map(|(key, plugin, component)| (*key, rules(plugin, *component))))
}

fn compile<'k>(routes: impl IntoIterator<Item = (&'k str, Vec<Rule>)>) -> Result<(Router, InboxEvents), RouteError> {
    let plugins = [("python", &["/clean"][..]), ("builtin", &["/clean"]), ("nlp", &["/clean", "/embed"])];
    let plugins: BTreeMap<String, Arc<dyn ComponentHost>> = plugins
        .into_iter()
        .map(|(name, served)| (name.to_owned(), Arc::new(Serving(served)) as Arc<dyn ComponentHost>))
        .collect();
    let (inbox, events) = inbox();
    let routes = routes.into_iter().map(|(key, rules)| (key.to_owned(), rules));
    Router::new(plugins, routes, inbox).map(|router| (router, events))
}

/// The plugin and component to which an input goes.
fn sent(router: &Router, path: &str, input: &str) -> Result<(String, String), FlowError> {
    router.resolve(path, &json(input)).map(|target| match target {
        Target::Component { route, .. } => (route.plugin, route.component),
        control => panic!("not a component: {control:?}"),
    })
}

fn condition(path: &str, value: &str) -> Condition {
    Condition { path: stepflow_flow::Path::parse(path).unwrap(), value: json(value) }
}

fn router(routes: &[(&str, &str, Option<&str>)]) -> Router {
    build(routes).unwrap().0
}

fn routed(router: &Router, path: &str) -> Option<(String, String)> {
    router.route(path, &Value::null()).map(|route| (route.plugin, route.component))
}

fn to(plugin: &str, component: &str) -> Option<(String, String)> {
    Some((plugin.to_owned(), component.to_owned()))
}

const USUAL: [(&str, &str, Option<&str>); 2] =
    [("/{*component}", "builtin", None), ("/python/{*component}", "python", None)];

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let router = router(&USUAL);
    assert_eq!(routed(&router, "/python/text/clean"), to("python", "/text/clean"));
    assert_eq!(routed(&router, "/noop"), to("builtin", "/noop"));
    assert_eq!(routed(&router, "/python"), to("builtin", "/python"));
    assert_eq!(routed(&router, "noop"), None);
}

#[test]
fn a_single_segment_is_a_prefix() {
    let router = router(&[("/python", "python", None), ("/", "builtin", None)]);
    assert_eq!(routed(&router, "/python/a/b"), to("python", "/a/b"));
    assert_eq!(routed(&router, "/noop"), to("builtin", "/noop"));
}

#[test]
fn a_template_names_the_component() {
    let router = router(&[
        ("/double", "python", Some("/math/double")),
        ("/ml/{model}/{*component}", "python", Some("/{model}/v2/{*component}")),
        ("/text", "python", Some("/nlp/{component}")),
    ]);
    assert_eq!(routed(&router, "/double"), to("python", "/math/double"));
    assert_eq!(routed(&router, "/ml/bert/embed/all"), to("python", "/bert/v2/embed/all"));
    assert_eq!(routed(&router, "/text/clean"), to("python", "/nlp/clean"));
}

#[test]
fn a_path_is_resolved_by_its_plugin_and_named_by_the_config() {
    let Ok(Target::Component { route, purity }) = router(&USUAL).resolve("/python/clean", &Value::null()) else {
        panic!("not a component")
    };
    assert_eq!(route, Route { plugin: "python".to_owned(), component: "/clean".to_owned() });
    assert_eq!(purity, Purity::Read);
}

#[test]
fn a_path_that_leads_nowhere_is_answered_with_the_nearest_one() {
    let only_python = router(&[("/python/{*component}", "python", None)]);
    let usual = router(&USUAL);
    for (router, path, message) in [
        (&only_python, "/pyhton/clean", "no route leads to `/pyhton/clean`: did you mean `/python/clean`?"),
        (&only_python, "python/clean", "no route leads to `python/clean`: did you mean `/python/clean`?"),
        (&only_python, "/openai", "no route leads to `/openai`; the routes are `/python/{*component}`"),
        (
            &usual,
            "/python/claen",
            "the plugin `python`, which has no component `/claen`: did you mean `/python/clean`?",
        ),
        (&usual, "/pyhton/clean", "has no component `/pyhton/clean`: did you mean"),
    ] {
        let error = router.resolve(path, &Value::null()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ComponentNotFound);
        assert!(error.message.contains(message), "{}", error.message);
    }
}

#[test]
fn a_component_is_found_by_the_path_that_leads_to_it() {
    let router = router(&USUAL);
    let target = |plugin: &str| Route { plugin: plugin.to_owned(), component: "/clean".to_owned() };
    assert_eq!(router.path_to(&target("python")).as_deref(), Some("/python/clean"));
    assert_eq!(router.path_to(&target("builtin")).as_deref(), Some("/clean"));
    assert_eq!(router.path_to(&target("other")), None);
}

#[test]
fn routes_that_cannot_be_followed_are_refused() {
    for (routes, message) in [
        (
            vec![("/x/{*component}", "pyhton", None)],
            "leads to the plugin `pyhton`, which does not exist: did you mean `python`?",
        ),
        (vec![("/x/{*component}", "other", None)], "does not exist; the plugins are `builtin`, `nlp`, `python`"),
        (vec![("x/{*component}", "python", None)], "not a path pattern: it does not begin with `/`"),
        (vec![("/x/{*component}", "python", None), ("/x", "builtin", None)], "match the same paths"),
        (vec![("/{x}/a", "python", None)], "captures no `{component}`"),
        (vec![("/{x}/a", "python", Some("/{y}"))], "uses `y`, which the pattern does not capture"),
        (vec![("/x/a", "python", Some("a"))], "does not begin with `/`"),
    ] {
        let error = build(&routes).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn the_first_rule_whose_conditions_hold_counts() {
    let by_model = vec![
        Rule { conditions: vec![condition("$.model", r#"{"name":"a","size":1}"#)], ..Rule::to("python") },
        Rule {
            conditions: vec![condition("$.model.name", r#""b""#), condition("$['deep'][1]", "[null]")],
            ..Rule::to("builtin")
        },
        Rule { conditions: vec![condition("$", "null")], ..Rule::to("nlp") },
    ];
    let router = compile([("/ai/{*component}", by_model)]).unwrap().0;
    for (input, plugin) in [
        (r#"{"model":{"size":1,"name":"a"}}"#, Some("python")),
        (r#"{"model":{"name":"a"}}"#, None),
        (r#"{"model":{"name":"b"},"deep":[0,[null]]}"#, Some("builtin")),
        (r#"{"model":{"name":"b"}}"#, None),
        ("null", Some("nlp")),
        ("7", None),
    ] {
        assert_eq!(sent(&router, "/ai/clean", input).ok().map(|(plugin, _)| plugin).as_deref(), plugin, "{input}");
    }
    let error = sent(&router, "/ai/clean", "7").unwrap_err();
    assert_eq!(error.kind, ErrorKind::ComponentNotFound);
    assert!(error.message.contains("no rule of the route `/ai/{*component}` takes `/ai/clean`"), "{}", error.message);
}

#[test]
fn a_condition_on_nothing_does_not_hold_even_for_null() {
    let rule = Rule { conditions: vec![condition("$.a", "null")], ..Rule::to("python") };
    let router = compile([("/x", vec![rule])]).unwrap().0;
    assert!(sent(&router, "/x/clean", r#"{"a":null}"#).is_ok());
    assert!(sent(&router, "/x/clean", "{}").is_err());
}

#[test]
fn the_lists_of_a_rule_hold_although_it_is_the_only_one() {
    let allow = Rule { component_allow: Some(vec!["embed".to_owned()]), ..Rule::to("nlp") };
    let deny = Rule { component_deny: vec!["/clean".to_owned()], ..allow.clone() };
    let both = Rule { component_deny: vec!["/embed".to_owned()], ..allow.clone() };
    let router = compile([
        ("/allow", vec![allow]),
        ("/deny/{*component}", vec![Rule { component_allow: None, ..deny }]),
        ("/both", vec![both]),
        ("/none", vec![Rule { component_allow: Some(vec![]), ..Rule::to("nlp") }]),
    ])
    .unwrap()
    .0;
    for (path, led) in [
        ("/allow/embed", true),
        ("/allow/clean", false),
        ("/deny/embed", true),
        ("/deny/clean", false),
        ("/both/embed", false),
        ("/none/embed", false),
    ] {
        assert_eq!(sent(&router, path, "{}").is_ok(), led, "{path}");
        assert_eq!(router.serves(path).is_ok(), led, "{path}");
    }
}

#[test]
fn a_list_is_about_the_component_that_the_template_names() {
    let rule = Rule {
        component: Some("/{*component}".to_owned()),
        component_deny: vec!["/embed".to_owned()],
        ..Rule::to("nlp")
    };
    let router = compile([("/v1/{*component}", vec![rule])]).unwrap().0;
    assert!(sent(&router, "/v1/embed", "{}").is_err());
    assert!(sent(&router, "/v1/clean", "{}").is_ok());
}

#[test]
fn a_plugin_without_the_component_leaves_it_to_the_next_rule() {
    let router = compile([("/", vec![Rule::to("python"), Rule::to("nlp")])]).unwrap().0;
    assert_eq!(sent(&router, "/clean", "{}").unwrap().0, "python");
    assert_eq!(sent(&router, "/embed", "{}").unwrap().0, "nlp");
    let error = sent(&router, "/embde", "{}").unwrap_err();
    assert!(error.message.contains("leads to the plugin `python`"), "{}", error.message);
}

#[test]
fn a_path_is_served_when_some_input_would_find_its_component() {
    let rule = Rule { conditions: vec![condition("$.a", "1")], ..Rule::to("nlp") };
    let router = compile([("/x", vec![rule, Rule::to("python")])]).unwrap().0;
    assert!(router.serves("/x/embed").is_ok());
    assert!(router.serves("/x/other").is_err());
    let plugins: Vec<String> = router.routes("/x/embed").into_iter().map(|route| route.plugin).collect();
    assert_eq!(plugins, ["nlp", "python"]);
}

#[tokio::test]
async fn a_task_whose_plugin_is_gone_is_answered() {
    let (router, mut events) = build(&[("/x", "python", None)]).unwrap();
    let mut orphan = task("/clean", Value::null());
    orphan.route.plugin = "java".to_owned();
    router.offer(orphan.clone());
    let (answered, Answer::Failed(failure)) = events.answer().await else { panic!("no failure") };
    assert_eq!((answered, failure.error.kind), (orphan.task, ErrorKind::ComponentNotFound));
}
