//! Every key of the configuration.

mod plugins;
mod stores;

use super::shape::{Key, Object, Shape, Variant};

/// The configuration as a whole.
pub static ROOT: Object = Object {
    name: "Config",
    about: "What the server runs with: plugins, the routes that lead to them, and its own settings.",
    keys: &[
        Key::new("plugins", PLUGINS, "What serves components, by name.").default("{}"),
        Key::new("routes", ROUTES, "Which component paths lead to which plugin.").default("{}"),
        Key::new("workingDirectory", Shape::Text, "Where workers run and `load_file` reads; from the config's folder.")
            .default("\".\""),
        Key::new("defaults", Shape::Object(&DEFAULTS), "What holds where a run or a step does not say."),
        Key::new("retry", Shape::Object(&RETRY), "How lost workers and failed steps are tried again."),
        Key::new("server", Shape::Object(&SERVER), "Where and to whom `serve` answers."),
        Key::new("stateStore", stores::STATE, "Where runs are kept.").default("{\"type\":\"inMemory\"}"),
        Key::new("blobStore", stores::BLOBS, "Where large values are kept.").default("{\"type\":\"inMemory\"}"),
        Key::new("storageConfig", stores::PUBLISHED, "The published spelling of `stateStore` and `blobStore`."),
        Key::new("limits", Shape::Object(&LIMITS), "How much the server takes on.").planned(),
        Key::new("retention", Shape::Object(&RETENTION), "How long finished runs are kept.").planned(),
        Key::new("leaseManager", stores::LEASES, "Published: who owns a run when several servers share a store.")
            .default("{\"type\":\"noOp\"}"),
        Key::new("recovery", Shape::Object(&stores::RECOVERY), "Published: how runs of a lost server are taken over.")
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
    about: "A rule of a route. The first one counts that applies to the input and whose plugin has the component.",
    keys: &[
        Key::new("plugin", Shape::Text, "The plugin's name."),
        Key::new("component", Shape::Text, "The component's path at the plugin, with names of the pattern in braces.")
            .default("\"/{component}\""),
        Key::new(
            "conditions",
            Shape::List { noun: "a condition", of: &Shape::Object(&CONDITION) },
            "What the step's input must be like, all of it.",
        )
        .default("[]"),
        Key::new("componentAllow", NAMES, "The only components, as the plugin calls them; every one when absent."),
        Key::new("componentDeny", NAMES, "Components that it does not lead to.").default("[]"),
        Key::new("queueName", Shape::Text, "Published: the queue of a `grpc` plugin.").planned(),
        Key::new("stream", Shape::Text, "Published: the stream of a `nats` plugin.").planned(),
    ],
    required: &[&["plugin"]],
};

static CONDITION: Object = Object {
    name: "RouteCondition",
    about: "What a place of a step's input must be.",
    keys: &[
        Key::new("path", Shape::Path, "The place, such as `$.model`. Where there is none, the rule does not apply."),
        Key::new("value", Shape::Any, "What must be there: the same JSON, whatever the order of its keys."),
    ],
    required: &[&["path"], &["value"]],
};

static DEFAULTS: Object = Object {
    name: "Defaults",
    about: "What holds where a run or a step does not say.",
    keys: &[
        Key::new("maxConcurrency", AT_LEAST_ONE, "How many steps of a run and its sub-runs are open at once.")
            .default("100"),
        Key::new(
            "timeout",
            Shape::Time,
            "How long an attempt of a component may take where its step does not say; as long as it wants when absent.",
        ),
    ],
    required: &[],
};

static RETRY: Object = Object {
    name: "Retry",
    about: "How lost workers and failed steps are tried again.",
    keys: &[
        Key::new("transportMaxRetries", WHOLE, "How often a step goes out again because its worker was lost with it alone; one that was lost together with others goes out again besides.")
            .default("3"),
        Key::new("backoff", Shape::ByType(BACKOFF), "The wait before a retry, where a step has no `backoff`.")
            .default("{\"type\":\"exponential\"}"),
    ],
    required: &[],
};

const WHOLE: Shape = Shape::Whole { least: 0, most: u32::MAX as u64 };

const AT_LEAST_ONE: Shape = Shape::Whole { least: 1, most: u32::MAX as u64 };

const MILLISECONDS: Shape = Shape::Whole { least: 0, most: u32::MAX as u64 };

/// The wait before a retry, in the spelling of flows and in the published one.
static BACKOFF: &[Variant] = &[
    Variant {
        name: "constant",
        built: true,
        object: Object {
            name: "ConstantBackoff",
            about: "Always the same time.",
            keys: &[
                Key::new("delay", Shape::Time, "The time.").default("\"1s\""),
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
            about: "Each time longer by a factor.",
            keys: &[
                Key::new("initial", Shape::Time, "Before the first retry.").default("\"1s\""),
                Key::new("max", Shape::Time, "The longest.").default("\"10s\""),
                Key::new("factor", Shape::Factor, "By how much each is longer.").default("2"),
                Key::new("jitter", Shape::Flag, "Whether the wait is drawn between half of it and all of it.")
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
            about: "1, 1, 2, 3, 5, 8, … times the first.",
            keys: &[
                Key::new("initial", Shape::Time, "Before the first retry.").default("\"1s\""),
                Key::new("max", Shape::Time, "The longest.").default("\"10s\""),
                Key::new("minDelayMs", MILLISECONDS, "Published: `initial` in milliseconds."),
                Key::new("maxDelayMs", MILLISECONDS, "Published: `max` in milliseconds."),
            ],
            required: &[],
        },
    },
];

static SERVER: Object = Object {
    name: "Server",
    about: "Where and to whom `serve` answers. The command line goes before it.",
    keys: &[
        Key::new("host", Shape::Host, "The address to listen on, or a name that leads to it.").default("\"127.0.0.1\""),
        Key::new("port", Shape::Whole { least: 0, most: u16::MAX as u64 }, "The port; 0 lets the system choose.")
            .default("7840"),
        Key::new(
            "allowedHosts",
            Shape::List { noun: "a name", of: &Shape::Host },
            "The names by which it may be called, besides `localhost`, IP addresses and `host`.",
        )
        .default("[]"),
        Key::new("auth", Shape::Object(&AUTH), "Who may use the API.").planned(),
        Key::new("cors", Shape::Object(&CORS), "Which web pages may use the API, besides its own."),
    ],
    required: &[],
};

static AUTH: Object = Object {
    name: "Auth",
    about: "Who may use the API.",
    keys: &[Key::new(
        "tokens",
        Shape::List { noun: "a token", of: &Shape::Object(&TOKEN) },
        "The tokens with which the API can be used.",
    )
    .planned()],
    required: &[],
};

static TOKEN: Object = Object {
    name: "Token",
    about: "A token with which the API can be used.",
    keys: &[
        Key::new("name", Shape::Text, "Whose it is, for the log.").planned(),
        Key::new("token", Shape::Text, "The token: take it from the environment.").planned(),
        Key::new("secrets", Shape::Flag, "Whether it may read secret values.").default("false").planned(),
    ],
    required: &[&["name"], &["token"]],
};

static CORS: Object = Object {
    name: "Cors",
    about: "Which web pages may use the API, besides its own.",
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
    about: "How much the server takes on.",
    keys: &[Key::new("openRuns", AT_LEAST_ONE, "How many runs are open at once; more are refused.")
        .default("10000")
        .planned()],
    required: &[],
};

static RETENTION: Object = Object {
    name: "Retention",
    about: "How long finished runs are kept; for ever when absent.",
    keys: &[
        Key::new("runs", Shape::Time, "How long finished runs are kept.").planned(),
        Key::new("keepFailed", Shape::Time, "How long failed runs are kept.").planned(),
    ],
    required: &[],
};
