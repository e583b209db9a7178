//! Routes, in all spellings that configs use.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
mod suite;

use std::collections::BTreeMap;
use std::sync::Arc;

use stepflow_engine::event::{Route, TaskRef};
use stepflow_engine::ports::{Answer, ComponentHost, Purity, Target, TaskEnvelope};
use stepflow_hosts::{RouteError, Router, Rule};
use stepflow_protocol::{ErrorKind, FlowError, Value};
use suite::{Words, inbox, task};

/// A host that serves `/clean` and nothing else.
struct Cleaner;

impl ComponentHost for Cleaner {
    fn resolve(&self, path: &str, _input: &Value) -> Result<Target, FlowError> {
        if path == "/clean" {
            let route = Route { plugin: "itself".to_owned(), component: path.to_owned() };
            return Ok(Target::Component { route, purity: Purity::Read });
        }
        Err(FlowError::new(ErrorKind::ComponentNotFound, "no").with([("nearest", Value::string("/clean"))]))
    }

    fn offer(&self, _task: TaskEnvelope) {}

    fn cancel(&self, _route: &Route, _task: TaskRef, _reason: &str) {}
}

fn rules(plugin: &str, component: Option<&str>) -> Vec<Rule> {
    vec![Rule { component: component.map(str::to_owned), ..Rule::to(plugin) }]
}

fn build(routes: &[(&str, &str, Option<&str>)]) -> Result<(Router, Words), RouteError> {
    let plugins: BTreeMap<String, Arc<dyn ComponentHost>> =
        ["python", "builtin"].map(|name| (name.to_owned(), Arc::new(Cleaner) as Arc<dyn ComponentHost>)).into();
    let (inbox, words) = inbox();
    let routes = routes.iter().map(|(key, plugin, component)| ((*key).to_owned(), rules(plugin, *component)));
    Router::new(plugins, routes, inbox).map(|router| (router, words))
}

fn router(routes: &[(&str, &str, Option<&str>)]) -> Router {
    build(routes).unwrap().0
}

fn routed(router: &Router, path: &str) -> Option<(String, String)> {
    router.route(path).map(|route| (route.plugin, route.component))
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
    let Target::Component { route, purity } = router(&USUAL).resolve("/python/clean", &Value::null()).unwrap();
    assert_eq!(route, Route { plugin: "python".to_owned(), component: "/clean".to_owned() });
    assert_eq!(purity, Purity::Read);
}

#[test]
fn a_path_that_leads_nowhere_is_answered_with_the_nearest_one() {
    let only_python = router(&[("/python/{*component}", "python", None)]);
    let usual = router(&USUAL);
    for (router, path, words) in [
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
        assert!(error.message.contains(words), "{}", error.message);
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
    for (routes, words) in [
        (
            vec![("/x/{*component}", "pyhton", None)],
            "leads to the plugin `pyhton`, which does not exist: did you mean `python`?",
        ),
        (vec![("/x/{*component}", "other", None)], "does not exist; the plugins are `builtin`, `python`"),
        (vec![("x/{*component}", "python", None)], "not a path pattern: it does not begin with `/`"),
        (vec![("/x/{*component}", "python", None), ("/x", "builtin", None)], "match the same paths"),
        (vec![("/{x}/a", "python", None)], "captures no `{component}`"),
        (vec![("/{x}/a", "python", Some("/{y}"))], "uses `y`, which the pattern does not capture"),
        (vec![("/x/a", "python", Some("a"))], "does not begin with `/`"),
    ] {
        let error = build(&routes).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_task_whose_plugin_is_gone_is_answered() {
    let (router, mut words) = build(&[("/x", "python", None)]).unwrap();
    let mut orphan = task("/clean", Value::null());
    orphan.route.plugin = "java".to_owned();
    router.offer(orphan.clone());
    let (answered, Answer::Failed(failure)) = words.answer().await else { panic!("no failure") };
    assert_eq!((answered, failure.error.kind), (orphan.task, ErrorKind::ComponentNotFound));
}
