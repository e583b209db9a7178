//! All keys of the configuration.

mod plugins;
mod stores;

use super::shape::{Key, Object, Shape, Variant};

/// The configuration as a whole.
pub static ROOT: Object = Object {
    name: "Config",
    about: "The plugins, the routes that lead to them, and the settings of the server.",
    keys: &[
        Key::new("plugins", PLUGINS, "The plugins, which provide components, by name.").default("{}"),
        Key::new("routes", ROUTES, "Which component paths lead to which plugin.").default("{}"),
        Key::new(
            "workingDirectory",
            Shape::Text,
            "The folder where workers run and `load_file` reads. A relative path starts at the config's folder.",
        )
        .default("\".\""),
        Key::new("defaults", Shape::Object(&DEFAULTS), "Values for runs and steps that do not set their own."),
        Key::new("retry", Shape::Object(&RETRY), "How steps are retried when they fail or lose their worker."),
        Key::new("server", Shape::Object(&SERVER), "Where `serve` listens, and who may use it."),
        Key::new("stateStore", stores::STATE, "Where runs are kept.").default("{\"type\":\"sqlite\"}"),
        Key::new("blobStore", stores::BLOBS, "Where values are kept that are too large for the database.")
            .default("{\"type\":\"filesystem\"}"),
        Key::new(
            "storageConfig",
            stores::PUBLISHED,
            "Published: the spelling of `stateStore` and `blobStore` in earlier releases.",
        ),
        Key::new("limits", Shape::Object(&LIMITS), "Limits of the server.").planned(),
        Key::new("retention", Shape::Object(&RETENTION), "How long finished runs are kept in a file."),
        Key::new(
            "leaseManager",
            stores::LEASES,
            "Published: how several servers share a store. Only `noOp` is built: each server has a store of its own.",
        )
        .default("{\"type\":\"noOp\"}"),
        Key::new(
            "recovery",
            Shape::Object(&stores::RECOVERY),
            "Published: how a server continues the runs of another one that was lost.",
        )
        .planned(),
        Key::new("blobApi", Shape::Object(&stores::BLOB_API), "Published: how workers reach large values.").planned(),
    ],
    required: &[],
};

const PLUGINS: Shape = Shape::Map { noun: "the plugin", of: &Shape::ByType(plugins::ALL) };

const ROUTES: Shape = Shape::Map { noun: "the route", of: &Shape::List { noun: "a rule", of: &Shape::Object(&RULE) } };

const NAMES: Shape = Shape::List { noun: "a component", of: &Shape::Text };

static RULE: Object = Object {
    name: "RouteRule",
    about: "A rule of a route. The first rule is used that applies to the input and whose plugin has the component.",
    keys: &[
        Key::new("plugin", Shape::Text, "The plugin's name."),
        Key::new(
            "component",
            Shape::Text,
            "The path of the component in the plugin. Names of the pattern may be used in braces.",
        )
        .default("\"/{component}\""),
        Key::new(
            "conditions",
            Shape::List { noun: "a condition", of: &Shape::Object(&CONDITION) },
            "Conditions on the step's input. All of them must be true.",
        )
        .default("[]"),
        Key::new(
            "componentAllow",
            NAMES,
            "The only components that the rule leads to, with the plugin's own paths; all when absent.",
        ),
        Key::new("componentDeny", NAMES, "Components that the rule does not lead to.").default("[]"),
        Key::new("queueName", Shape::Text, "Published: the queue of a `grpc` plugin.").planned(),
        Key::new("stream", Shape::Text, "Published: the stream of a `nats` plugin.").planned(),
    ],
    required: &[&["plugin"]],
};

static CONDITION: Object = Object {
    name: "RouteCondition",
    about: "A condition on one place in a step's input.",
    keys: &[
        Key::new(
            "path",
            Shape::Path,
            "A path into the input, such as `$.model`. If the input has no such place, the rule does not apply.",
        ),
        Key::new("value", Shape::Any, "The JSON value that must be there. The order of its keys does not matter."),
    ],
    required: &[&["path"], &["value"]],
};

static DEFAULTS: Object = Object {
    name: "Defaults",
    about: "Values for runs and steps that do not set their own.",
    keys: &[
        Key::new("maxConcurrency", AT_LEAST_ONE, "How many steps of a run and its sub-runs may run at the same time.")
            .default("100"),
        Key::new(
            "timeout",
            Shape::Time,
            "How long an attempt of a step may take if the step has no `timeout`; no limit when absent.",
        ),
    ],
    required: &[],
};

static RETRY: Object = Object {
    name: "Retry",
    about: "How steps are retried when they fail or lose their worker.",
    keys: &[
        Key::new("transportMaxRetries", WHOLE, "How often a step runs again after a worker was lost that had only this step, whatever its `onError` says. When a worker is lost with several steps, they run again, and this is not counted.")
            .default("3"),
        Key::new("maxServerCrashes", WHOLE, "A step fails when the server has crashed this many times in a row while a worker was running it: with 3, at the third crash. With 0, no number of crashes makes it fail. A stop is no crash.")
            .default("3"),
        Key::new("backoff", Shape::ByType(BACKOFF), "The wait before a retry, if the step has no `backoff`.")
            .default("{\"type\":\"exponential\"}"),
    ],
    required: &[],
};

const WHOLE: Shape = Shape::Whole { least: 0, most: u32::MAX as u64 };

const AT_LEAST_ONE: Shape = Shape::Whole { least: 1, most: u32::MAX as u64 };

const MILLISECONDS: Shape = Shape::Whole { least: 0, most: u32::MAX as u64 };

/// The wait before a retry, in the spelling of flows and in the one of earlier releases.
static BACKOFF: &[Variant] = &[
    Variant {
        name: "constant",
        built: true,
        object: Object {
            name: "ConstantBackoff",
            about: "The same wait before each retry.",
            keys: &[
                Key::new("delay", Shape::Time, "The wait.").default("\"1s\""),
                Key::new("delayMs", MILLISECONDS, "Published: `delay` in milliseconds."),
            ],
            required: &[],
        },
    },
    Variant {
        name: "exponential",
        built: true,
        object: Object {
            name: "ExponentialBackoff",
            about: "Each wait is longer than the one before, by a factor.",
            keys: &[
                Key::new("initial", Shape::Time, "The wait before the first retry.").default("\"1s\""),
                Key::new("max", Shape::Time, "The longest wait.").default("\"10s\""),
                Key::new("factor", Shape::Factor, "By which factor each wait is longer than the one before.")
                    .default("2"),
                Key::new("jitter", Shape::Flag, "Whether each wait is a random time between half of it and all of it.")
                    .default("true"),
                Key::new("minDelayMs", MILLISECONDS, "Published: `initial` in milliseconds."),
                Key::new("maxDelayMs", MILLISECONDS, "Published: `max` in milliseconds."),
            ],
            required: &[],
        },
    },
    Variant {
        name: "fibonacci",
        built: true,
        object: Object {
            name: "FibonacciBackoff",
            about: "1, 1, 2, 3, 5, 8, … times the first wait.",
            keys: &[
                Key::new("initial", Shape::Time, "The wait before the first retry.").default("\"1s\""),
                Key::new("max", Shape::Time, "The longest wait.").default("\"10s\""),
                Key::new("minDelayMs", MILLISECONDS, "Published: `initial` in milliseconds."),
                Key::new("maxDelayMs", MILLISECONDS, "Published: `max` in milliseconds."),
            ],
            required: &[],
        },
    },
];

static SERVER: Object = Object {
    name: "Server",
    about: "Where `serve` listens, and who may use it. Options of the command line have priority.",
    keys: &[
        Key::new("host", Shape::Host, "The IP address or host name to listen on.").default("\"127.0.0.1\""),
        Key::new("port", Shape::Whole { least: 0, most: u16::MAX as u64 }, "The port; 0 lets the system choose.")
            .default("7840"),
        Key::new(
            "allowedHosts",
            Shape::List { noun: "a name", of: &Shape::Host },
            "Host names that callers may use, in addition to `localhost`, IP addresses and `host`.",
        )
        .default("[]"),
        Key::new("auth", Shape::Object(&AUTH), "Who may use the API.").planned(),
        Key::new("cors", Shape::Object(&CORS), "Which web pages of other origins may use the API."),
        Key::new("stopGrace", Shape::Time, "How long running steps may take to end when the server or `run --state` stops. One that needs longer is interrupted, and runs again after the next start.").default("\"5s\""),
    ],
    required: &[],
};

static AUTH: Object = Object {
    name: "Auth",
    about: "Who may use the API.",
    keys: &[Key::new(
        "tokens",
        Shape::List { noun: "a token", of: &Shape::Object(&TOKEN) },
        "The tokens that give access to the API.",
    )
    .planned()],
    required: &[],
};

static TOKEN: Object = Object {
    name: "Token",
    about: "A token that gives access to the API.",
    keys: &[
        Key::new("name", Shape::Text, "A name for the log, such as the owner's.").planned(),
        Key::new("token", Shape::Text, "The token. Fill it in from the environment.").planned(),
        Key::new("secrets", Shape::Flag, "Whether it may read secret values.").default("false").planned(),
    ],
    required: &[&["name"], &["token"]],
};

static CORS: Object = Object {
    name: "Cors",
    about: "Which web pages of other origins may use the API.",
    keys: &[Key::new(
        "origins",
        Shape::List { noun: "an origin", of: &Shape::Origin },
        "The pages' origins, such as `https://app.example.com`.",
    )
    .default("[]")],
    required: &[],
};

static LIMITS: Object = Object {
    name: "Limits",
    about: "Limits of the server.",
    keys: &[Key::new("openRuns", AT_LEAST_ONE, "How many runs may be open at the same time; more are refused.")
        .default("10000")
        .planned()],
    required: &[],
};

static RETENTION: Object = Object {
    name: "Retention",
    about: "How long finished runs are kept; they are not deleted when absent.",
    keys: &[
        Key::new(
            "runs",
            Shape::Time,
            "How long finished runs are kept, however they ended; also blobs that no run needs, but at least an hour.",
        ),
        Key::new(
            "keepFailed",
            Shape::Time,
            "How long failed runs are kept, if not as long as the others. Without `runs`, only failed runs are deleted.",
        ),
    ],
    required: &[],
};
