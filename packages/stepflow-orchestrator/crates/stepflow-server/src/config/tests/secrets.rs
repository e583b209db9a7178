//! Values from variables, and secrets: where they may stand, and that no message shows them.

use super::*;

#[test]
fn a_variable_may_be_a_number_and_no_worker_sees_what_only_the_server_needs() {
    let text = "server: {port: '${PORT:-81}'}\nplugins: {p: {type: stepflow, command: w, env: {A: '${BOTH:-1}'}},\n\
                \x20 q: {type: stepflow, url: 'http://127.0.0.1:1', token: '${TOKEN:-t}'}}\n\
                stateStore: {type: sqlite, path: '${SECRET:-x}${BOTH:-y}'}\n";
    let config = parse(text).unwrap();
    assert_eq!(config.server.port, Some(81));
    assert_eq!(config.withheld_env, ["PORT", "SECRET", "TOKEN"]);
}

/// Reads a file with `SECRET` in the environment.
fn parse_with(text: &str, secret: &str) -> Result<Config, Failure> {
    let source = Source::yaml("stepflow-config.yml", text);
    read_with(source, std::env::temp_dir(), &|name| (name == "SECRET").then(|| secret.to_owned()))
}

#[test]
fn what_a_variable_holds_stays_text_where_a_text_is_taken() {
    for secret in ["12345", "true", "007", "1.5", "-1", "1e3", "null"] {
        let config = parse_with(
            "plugins: {p: {type: stepflow, url: ['http://127.0.0.1:1'], token: '${SECRET}', healthCheck: {path: '${SECRET}'}},\n\
             \x20 q: {type: stepflow, command: '${SECRET}', args: ['${SECRET}'], env: {A: '${SECRET}'}, inheritEnv: ['${SECRET}']},\n\
             \x20 b: {type: builtin, allowPaths: ['${SECRET}']}}\n\
             routes: {/a: [{plugin: p, component: '/${SECRET}', componentAllow: ['${SECRET}']}]}\n",
            secret,
        );
        let config = config.unwrap_or_else(|wrong| panic!("{secret}: {wrong:?}"));
        let worker = |name: &str| match &config.plugins[name] {
            Plugin::Stepflow(worker) => worker.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((worker("p").token.as_deref(), worker("p").health_check.path.as_str()), (Some(secret), secret));
        let q = worker("q");
        let inherited = q.inherit_env.unwrap_or_default();
        let seen = [&q.command, &q.args[0], &q.env["A"], &inherited[0]];
        assert_eq!(seen, [secret; 4], "{secret}");
        assert_eq!(config.routes[0].1[0].component_allow, Some(vec![secret.to_owned()]));
    }
}

#[test]
fn what_a_variable_holds_is_a_number_a_time_or_a_truth_value_where_one_is_taken() {
    type Says = fn(&Config) -> String;
    let cases: [(&str, &str, Says, &str); 6] = [
        ("server: {port: '${SECRET}'}", "81", |config| format!("{:?}", config.server.port), "Some(81)"),
        ("defaults: {timeout: '${SECRET}'}", "30", |config| format!("{:?}", config.engine.step_timeout), "Some(30s)"),
        ("defaults: {timeout: '${SECRET}'}", "1.5", |config| format!("{:?}", config.engine.step_timeout), "Some(1.5s)"),
        ("defaults: {timeout: '${SECRET}'}", "2m", |config| format!("{:?}", config.engine.step_timeout), "Some(120s)"),
        (
            "retry: {backoff: {type: exponential, factor: '${SECRET}'}}",
            "1.5",
            |config| format!("{:?}", config.engine.backoff).contains("1.5").to_string(),
            "true",
        ),
        (
            "plugins: {p: {type: mock, validateOutputs: '${SECRET}'}}",
            "true",
            |config| match &config.plugins["p"] {
                Plugin::Mock(mock) => format!("{:?}", mock.validate_outputs),
                other => panic!("{other:?}"),
            },
            "Some(true)",
        ),
    ];
    for (text, secret, says, expected) in cases {
        let config = parse_with(text, secret).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
        assert_eq!(says(&config), expected, "{text}");
    }
}

#[test]
fn no_mistake_shows_what_a_variable_holds() {
    let plugin = "plugins: {builtin: {type: builtin}}\n";
    for text in [
        "defaults: {maxConcurrency: '${SECRET}'}",
        "server: {port: '${SECRET}'}",
        "server: {port: 'x${SECRET}'}",
        "server: {host: '${SECRET}/'}",
        "server: {allowedHosts: ['${SECRET}:1']}",
        "server: {cors: {origins: ['${SECRET}']}}",
        "defaults: {timeout: '${SECRET}'}",
        "defaults: {timeout: '5 ${SECRET}'}",
        "retry: {backoff: {type: exponential, factor: '${SECRET}'}}",
        "retry: {backoff: {type: constant, delay: '${SECRET}'}}",
        "retry: {backoff: {type: '${SECRET}'}}",
        "retry: '${SECRET}'",
        "stateStore: {type: '${SECRET}'}",
        "stateStore: {type: sqlite, durability: '${SECRET}'}",
        "stateStore: {type: sqlite, databaseUrl: '${SECRET}'}",
        "blobStore: {type: filesystem, inlineBelow: '${SECRET}'}",
        "workingDirectory: 'no-such-${SECRET}'",
        "plugins: '${SECRET}'",
        "plugins: {p: '${SECRET}'}",
        "plugins: {p: {type: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, command: w, transport: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, command: w, startTimeout: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, command: w, inheritEnv: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, command: w, args: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, command: w, validateOutputs: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, url: '${SECRET}'}}",
        "plugins: {p: {type: stepflow, url: ['http://ok', '${SECRET}']}}",
        "plugins: {p: {type: stepflow, url: 'http://u:${SECRET}@h'}}",
        "plugins: {p: {type: stepflow, url: 'ftp://u:${SECRET}@h'}}",
        "plugins: {p: {type: mock, components: '${SECRET}'}}",
        "plugins: {p: {type: mock, components: {/a: '${SECRET}'}}}",
        "plugins: {p: {type: mock, components: {/a: {behaviors: {x: {outcome: '${SECRET}'}}}}}}",
        "plugins: {p: {type: mock, components: {/a: {behaviors: {x: '${SECRET}'}}}}}",
        "plugins: {p: {type: mock, components: {/a: {input_schema: {type: '${SECRET}'}}}}}",
        "plugins: {p: {type: mock, components: {/a: {output_schema: {properties: {k: {const: '${SECRET}'}}}}}}}",
        "routes: {/a: [{plugin: '${SECRET}'}]}",
        "routes: {/a: '${SECRET}'}",
        "routes: {/a: [{plugin: builtin, component: '/{${SECRET}}'}]}",
        "routes: {/a: [{plugin: builtin, conditions: [{path: '$x${SECRET}', value: 1}]}]}",
    ] {
        let text = if text.starts_with("routes") { format!("{plugin}{text}") } else { text.to_owned() };
        // The last ones are similar to known words. A suggestion of such a word would tell the secret, too.
        for secret in ["xyzzy quux", "xyzzyquux", "98765432101234567890", "stdi0", "bultin", "constnt"] {
            let Err(wrong) = parse_with(&text, secret) else { panic!("{text}: {secret} is taken") };
            let said = format!("{wrong:?}");
            assert!(said.contains("`SECRET`"), "{text}: {said}");
            for part in secret.split(' ') {
                assert!(!said.contains(part), "{text}: {said}");
            }
            assert!(!said.contains("did you mean"), "{text}: {said}");
        }
    }
}

#[test]
fn a_password_in_an_address_is_refused_and_shown_nowhere() {
    for text in [
        "plugins: {p: {type: stepflow, url: 'http://user:sesame@h'}}",
        "plugins: {p: {type: stepflow, url: [http://a, https://user:sesame@h/x]}}",
        "plugins: {p: {type: stepflow, url: 'user:sesame@h'}}",
        "plugins: {p: {type: stepflow, url: 'ftp://sesame@h'}}",
        "plugins: {p: {type: stepflow, comand: w, url: 'http://user:sesame@h'}}",
        "plugins: {p: {type: stepflow, url: 'http://user:sesame@h', surprise: [}}",
    ] {
        let said = refused(text);
        assert!(!said.contains("sesame"), "{text}: {said}");
    }
    let said = refused("plugins: {p: {type: stepflow, url: 'http://user:sesame@h'}}");
    assert!(said.contains("user name or a password") && said.contains("use `token`"), "{said}");
    let said = format!(
        "{:?}",
        parse_with("plugins: {p: {type: stepflow, url: '${SECRET}'}}", "http://a:sesame@h").unwrap_err()
    );
    assert!(said.contains("use `token`") && !said.contains("sesame"), "{said}");
}

#[test]
fn a_token_that_others_can_read_is_worth_a_warning() {
    let risks = |keys: &str| parse(&format!("plugins: {{p: {{type: stepflow, {keys}}}}}")).unwrap().risks();
    for keys in ["url: 'http://h', token: t", "url: [http://localhost, 'http://10.0.0.1'], token: t"] {
        let said = risks(keys).unwrap();
        assert!(said.starts_with("warning[1901]: the token of the plugin `p`") && said.contains("https://"), "{said}");
    }
    for keys in [
        "url: 'https://h', token: t",
        "url: 'http://127.0.0.1:1', token: t",
        "url: 'http://h'",
        "url: 'http://h', token: '${NO_SUCH_VARIABLE:-}'",
        "command: w, token: t",
    ] {
        assert_eq!(risks(keys), None, "{keys}");
    }
}

#[test]
fn a_mistake_beside_a_token_or_a_password_shows_neither() {
    for text in [
        "plugins: {p: {type: stepflow, url: 'http://h', token: S3cret, tranport: http}}\n",
        "plugins: {p: {type: stepflow, url: 'http://h', token: [S3cret]}}\n",
        "plugins: {b: {type: builtin, openai: {baseUrls: 'http://u:S3cret@h/'}}}\n",
        "plugins: {p: {type: stepflow, command: w, args: 'http://u:S3cret@h'}}\n",
    ] {
        let said = format!("{:?}", parse(text).unwrap_err());
        assert!(!said.contains("S3cret"), "{said}");
    }
    assert!(
        !format!("{:?}", parse("plugins: {p: {type: stepflow, url: 'http://h', token: 98765}}\n").unwrap_err())
            .contains("98765")
    );
}
