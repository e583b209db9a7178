//! Files as people write them.
#![allow(clippy::unwrap_used)]

use super::*;

mod secrets;

fn parse(text: &str) -> Result<Config, Failure> {
    read(Source::yaml("stepflow-config.yml", text), std::env::temp_dir())
}

fn refused(text: &str) -> String {
    format!("{:?}", parse(text).map(|_| ()).unwrap_err())
}

#[test]
fn plugins_and_routes_are_read() {
    let config = parse(
        "plugins:\n  builtin: {type: builtin, allowPaths: [shared], openai: {baseUrls: ['http://models:8000/v1']}}\n\
         \x20 python: {type: stepflow, command: w, args: [a.py, 3], env: {N: 1, F: true}, inheritEnv: [HOME],\n\
         \x20   startTimeout: 90s, maxConcurrency: 4, instances: 2, cancelGrace: 5s, transport: stdio,\n\
         \x20   maxMessageSize: 1MiB}\n\
         \x20 mock: {type: mock, components: {/a: {input_schema: {}, output_schema: {}, behaviors: {}}}}\n\
         routes:\n  '/python/{*component}': [{plugin: python}]\n  '/{*component}': [{plugin: builtin, component: '/{component}'}]\n",
    )
    .unwrap();
    let worker = Worker {
        command: "w".to_owned(),
        args: vec!["a.py".to_owned(), "3".to_owned()],
        env: [("N", "1"), ("F", "true")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        filled_in: Vec::new(),
        inherit_env: Some(vec!["HOME".to_owned()]),
        start_timeout: Some(Duration::from_secs(90)),
        instances: Some(2),
        max_concurrency: Some(4),
        urls: Vec::new(),
        max_message: Some(1 << 20),
        transport: Transport::Stdio,
        token: None,
        health_check: HealthCheck::default(),
        cancel_grace: Some(Duration::from_secs(5)),
        validate_outputs: None,
    };
    assert_eq!(config.plugins["python"], Plugin::Stepflow(Box::new(worker)));
    let allow_paths = vec![std::env::temp_dir().join("shared")];
    let openai_base_urls = Some(vec!["http://models:8000/v1".to_owned()]);
    assert_eq!(config.plugins["builtin"], Plugin::Builtin(Builtin { allow_paths, openai_base_urls }));
    assert!(matches!(config.plugins["mock"], Plugin::Mock(_)));
    assert_eq!(config.routes[0], ("/python/{*component}".to_owned(), vec![Rule::to("python")]));
    assert!(config.refuse_what_is_not_built().is_ok());
}

#[test]
fn workers_over_http_are_read() {
    let config = parse(
        "plugins:\n  one: {type: stepflow, transport: http, url: 'http://h:1/p', token: t}\n\
         \x20 many: {type: stepflow, url: [http://a, http://b]}\n\
         \x20 own: {type: stepflow, command: w, transport: http, healthCheck: {path: /up, timeoutMs: 5, retryDelayMs: 1}}\n",
    )
    .unwrap();
    let worker = |name: &str| match &config.plugins[name] {
        Plugin::Stepflow(worker) => worker.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((worker("one").urls, worker("one").token), (vec!["http://h:1/p".to_owned()], Some("t".to_owned())));
    assert_eq!(worker("many").urls, ["http://a", "http://b"]);
    let (timeout, retry_delay) = (Duration::from_millis(5), Duration::from_millis(1));
    assert_eq!(worker("own").health_check, HealthCheck { path: "/up".to_owned(), timeout, retry_delay });
    assert_eq!(worker("own").transport, Transport::Http);
    assert_eq!(worker("many").transport, Transport::Announced);
}

#[test]
fn a_worker_that_cannot_be_found_is_refused() {
    for (keys, problem) in [
        ("url: 'http://x', command: w", "a plugin has a `command` or a `url`, not both"),
        ("url: 'http://x', transport: stdio", "a worker at a `url` needs the transport `http`"),
        ("url: []", "`url` is an empty list"),
        ("command: w, maxMessageSize: 1GiB", "`maxMessageSize` must be between 64KiB and 256MiB"),
        ("command: w, maxMessageSize: 1", "`maxMessageSize` must be between 64KiB and 256MiB"),
        ("url: [http://x, 'x:1']", "`x:1` is not an address: a URL begins with `http://` or `https://`"),
    ] {
        let said = refused(&format!("plugins: {{p: {{type: stepflow, {keys}}}}}"));
        assert!(said.contains(problem) && said.contains("1:"), "{said}");
    }
}

#[test]
fn settings_reach_those_whom_they_concern() {
    let config = parse(
        "defaults: {maxConcurrency: 7, timeout: 1m}\nserver: {host: '::1', port: 0}\n\
         retry: {transportMaxRetries: 0, maxServerCrashes: 5, backoff: {type: constant, delayMs: 50}}\nstateStore: {type: inMemory, keepFinished: 5}\n",
    )
    .unwrap();
    assert_eq!((config.engine.max_concurrency, config.engine.transport_max_retries), (7, 0));
    assert_eq!(config.engine.max_server_crashes, 5);
    assert_eq!(config.engine.step_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.engine.backoff, stepflow_flow::Backoff::Constant { delay: Duration::from_millis(50) });
    assert_eq!(config.server, Server { host: Some("::1".to_owned()), port: Some(0), ..Server::default() });
    assert_eq!(config.state, StateStore::InMemory(stepflow_store::Options { keep_finished: 5 }));
}

#[test]
fn an_empty_file_is_an_empty_configuration() {
    for text in ["", "plugins:\nroutes: ~\n"] {
        assert!(parse(text).unwrap().plugins.is_empty());
    }
}

#[test]
fn every_mistake_of_a_file_is_named() {
    for (text, words) in [
        ("server: {port: 70000}", "`port` must be a whole number from 0 to 65535, and is 70000"),
        (
            "server: {host: 'http://here'}",
            "`host` must be a host name without a port, or an IP address such as `127.0.0.1`",
        ),
        ("server: {allowedHosts: ['a.example:80']}", "must be a host name without a port"),
        ("server: {cors: {origins: ['*']}}", "must be an origin such as `https://app.example.com`, without a path"),
        ("defaults: {maxConcurrency: 0}", "must be a whole number from 1"),
        ("defaults: {timeout: 5 parsecs}", "is not a duration"),
        ("retry: {backoff: {type: exponential, factor: 0.5}}", "`factor` must be a number of at least 1"),
        ("retry: {backoff: {type: linear}}", "the types are `constant`, `exponential`, `fibonacci`"),
        ("blobStore: {type: filesystem, inlineBelow: 1 meter}", "a number of bytes such as `1MiB`"),
        ("stateStore: {type: sqlite, durability: ful}", "did you mean `full`?"),
        ("stateStore: {type: sqlit}", "did you mean `sqlite`?"),
        ("stateStore: {}", "`stateStore` has no `type`"),
        ("stateStore: {typ: inMemory}", "`stateStore` has the unknown key `typ`"),
        ("plugins: {p: {Type: builtin}}", "did you mean `type`?"),
        ("plugins: []", "`plugins` must be an object, and is an array"),
        ("server: {auth: {tokens: [{name: a}]}}", "a token of `tokens` has no `token`"),
        ("default: {}", "did you mean `defaults`?"),
        ("surprise: 1", "the keys are `plugins`"),
        ("plugins: {p: {type: stepflow}}", "the plugin `p` has no `command` and no `url`"),
        ("plugins: {p: {type: stepflow, command: w, inheritEnv: 3}}", "`true` or `false` or a list, and is 3"),
        ("plugins: {p: {type: mock, components: {/a: {behaviors: 3}}}}", "`behaviors` must be an object"),
        ("plugins: {p: {type: mock, components: {/a: {input_schema: {type: 3}}}}}", "is not a JSON Schema"),
        ("routes: {/a: [{plugin: b, conditions: [{path: '$x', value: 1}]}]}", "a path such as `$.model`"),
        ("routes: {/a: [{plugin: b, conditions: [{path: $.x}]}]}", "a condition of `conditions` has no `value`"),
        ("routes: {/a: [{}]}", "a rule of the route `/a` has no `plugin`"),
        ("workingDirectory: /no/such/folder", "there is no folder `/no/such/folder`"),
        ("server: {port: '${NO_SUCH_VARIABLE}'}", "`NO_SUCH_VARIABLE` is not set"),
        ("[]", "the configuration must be an object"),
    ] {
        let said = refused(text);
        assert!(said.contains(words), "{text}: {said}");
        assert!(said.contains("stepflow-config.yml:1:"), "{text}: {said}");
    }
    let said = refused("server: {port: x}\ndefaults: {maxConcurrency: x}\n");
    assert!(said.contains("`port`") && said.contains("`maxConcurrency`"), "{said}");
}

#[test]
fn what_is_not_built_is_named_once_and_its_parts_are_checked() {
    for (text, named) in [
        ("limits: {openRuns: 10}", "`limits` is not built yet"),
        ("server: {auth: {tokens: [{name: a, token: b}]}}", "`auth` is not built yet"),
        ("stateStore: {type: postgres, databaseUrl: a}", "`stateStore` of the type `postgres` is not built yet"),
        (
            "storageConfig: {metadata: {type: sqlite, path: a}, journal: {type: inMemory}}",
            "`journal` in another store than `metadata` is not built yet",
        ),
        (
            "storageConfig: {metadata: {type: inMemory}, blobs: {type: filesystem}}",
            "a folder for blobs beside runs in memory is not built yet",
        ),
        (
            "plugins: {p: {type: nats, url: u, consumer: c}}\nroutes: {/p: [{plugin: p}]}",
            "the plugin `p` of the type `nats`",
        ),
    ] {
        let config = parse(text).unwrap();
        let said = format!("{:?}", config.refuse_what_is_not_built().unwrap_err());
        assert!(said.contains(named), "{text}: {said}");
        assert_eq!(said.matches("not built yet").count(), 1, "{text}: {said}");
        assert!(config.routing().is_ok(), "{text}");
    }
    assert!(refused("limits: {openRuns: many}").contains("`openRuns` must be"));
}

#[test]
fn asking_for_what_happens_anyway_is_allowed() {
    for text in [
        "plugins: {p: {type: stepflow, command: w, instances: 1, transport: stdio}}",
        "stateStore: {type: inMemory}",
        "storageConfig: {type: inMemory}",
        "storageConfig: {metadata: {type: inMemory}}",
        "leaseManager: {type: noOp}",
    ] {
        assert!(parse(text).unwrap().refuse_what_is_not_built().is_ok(), "{text}");
    }
}

#[test]
fn a_plugin_says_whether_its_outputs_are_checked_or_leaves_it_open() {
    let config = parse(
        "plugins:\n  a: {type: stepflow, command: w, validateOutputs: true}\n  b: {type: mock, validateOutputs: false}\n\
         \x20 c: {type: mock}\n",
    )
    .unwrap();
    let said = |name: &str| match &config.plugins[name] {
        Plugin::Stepflow(worker) => worker.validate_outputs,
        Plugin::Mock(mock) => mock.validate_outputs,
        Plugin::Builtin(_) => None,
    };
    assert_eq!(["a", "b", "c"].map(said), [Some(true), Some(false), None]);
    assert!(!config.validate_outputs && config.refuse_what_is_not_built().is_ok());
    assert!(refused("plugins: {p: {type: mock, validateOutputs: sometimes}}").contains("`validateOutputs` must be"));
}

#[test]
fn without_a_file_there_are_the_builtins_and_the_named_worker() {
    let config = without_file(Some("components.py".to_owned()), PathBuf::from("/"));
    assert_eq!(config.plugins.keys().collect::<Vec<_>>(), ["builtin", "python"]);
    assert_eq!(config.routes.len(), 2);
    assert!(!without_file(None, PathBuf::from("/")).plugins.contains_key("python"));
}
