//! The types of plugins.

use super::{AT_LEAST_ONE, MILLISECONDS};
use crate::config::shape::{Key, Object, Shape, Variant};

const TEXTS: Shape = Shape::List { noun: "an element", of: &Shape::Scalar };

const ENV: Shape = Shape::Map { noun: "the variable", of: &Shape::Scalar };

const COMMAND: Key = Key::new(
    "command",
    Shape::Text,
    "The program that serves the components, such as `stepflow-worker`; from `PATH`, or a path.",
);

const ARGS: Key = Key::new("args", TEXTS, "Its arguments.").default("[]");

const ENVIRONMENT: Key = Key::new("env", ENV, "Variables that it gets on top of those it inherits.").default("{}");

const VALIDATE_OUTPUTS: Key = Key::new(
    "validateOutputs",
    Shape::Flag,
    "Whether outputs have to fit the component's schema; in `stepflow test` they have to unless this is `false`.",
)
.default("false");

const SECONDS: Shape = Shape::Whole { least: 0, most: u32::MAX as u64 };

/// All of them.
pub static ALL: &[Variant] = &[
    Variant {
        name: "builtin",
        built: true,
        object: Object {
            name: "BuiltinPlugin",
            about: "The components that the server runs itself.",
            keys: &[
                Key::new(
                    "allowPaths",
                    Shape::List { noun: "a path", of: &Shape::Text },
                    "Folders and files that `load_file` may read besides the working directory; from the config's folder.",
                )
                .default("[]"),
                Key::new("openai", Shape::Object(&OPENAI), "Where `openai` may send its requests.").default("{}"),
            ],
            required: &[],
        },
    },
    Variant { name: "stepflow", built: true, object: STEPFLOW },
    Variant {
        name: "mock",
        built: true,
        object: Object {
            name: "MockPlugin",
            about: "Components that answer from a list instead of doing anything, for tests.",
            keys: &[
                Key::new(
                    "components",
                    Shape::Map { noun: "the component", of: &Shape::Any },
                    "By path: `input_schema`, `output_schema`, and `behaviors`, which say what is answered to which input.",
                )
                .default("{}"),
                VALIDATE_OUTPUTS,
            ],
            required: &[],
        },
    },
    Variant {
        name: "mcp",
        built: false,
        object: Object {
            name: "McpPlugin",
            about: "The tools of a Model Context Protocol server, each as a component.",
            keys: &[COMMAND, ARGS, ENVIRONMENT],
            required: &[&["command"]],
        },
    },
    Variant {
        name: "grpc",
        built: false,
        object: Object {
            name: "GrpcPlugin",
            about: "Published from 0.12: workers that fetch their tasks.",
            keys: &[
                COMMAND,
                ARGS,
                ENVIRONMENT,
                Key::new("queueName", Shape::Text, "The queue from which its workers fetch."),
                Key::new("queueTimeoutSecs", SECONDS, "How long a task may wait for a worker.").default("30"),
                Key::new("executionTimeoutSecs", SECONDS, "How long a task may take; for ever when absent."),
            ],
            required: &[],
        },
    },
    Variant {
        name: "nats",
        built: false,
        object: Object {
            name: "NatsPlugin",
            about: "Published from 0.12: workers on other machines, over NATS JetStream.",
            keys: &[
                Key::new("url", Shape::Text, "The NATS server."),
                Key::new("stream", Shape::Text, "The stream of its tasks."),
                Key::new("consumer", Shape::Text, "The consumer from which its workers fetch."),
                COMMAND,
                ARGS,
                ENVIRONMENT,
                Key::new("queueTimeoutSecs", SECONDS, "How long a task may wait for a worker.").default("30"),
                Key::new("executionTimeoutSecs", SECONDS, "How long a task may take; for ever when absent."),
            ],
            required: &[&["url"], &["consumer"]],
        },
    },
];

const STEPFLOW: Object = Object {
    name: "StepflowPlugin",
    about: "A worker: a process that serves components, started by the server or reached by its address.",
    keys: &[
        COMMAND,
        ARGS,
        ENVIRONMENT,
        Key::new(
            "inheritEnv",
            Shape::Either(&[Shape::Flag, Shape::List { noun: "a variable", of: &Shape::Text }]),
            "Which of the server's variables it gets: all but `STEPFLOW_*`, none, or those that are listed.",
        )
        .default("true"),
        Key::new("startTimeout", Shape::Time, "How long it may take until it answers.").default("\"5m\""),
        Key::new("maxConcurrency", AT_LEAST_ONE, "How many tasks a process gets at once; caps what it announces."),
        Key::new(
            "transport",
            Shape::Word(&["stdio", "http"]),
            "How a process is spoken with; when absent, over HTTP if its first line names a port, else on stdio.",
        ),
        Key::new("instances", AT_LEAST_ONE, "How many processes are started; each task goes to the least busy one.")
            .default("1"),
        VALIDATE_OUTPUTS,
        Key::new(
            "cancelGrace",
            Shape::Time,
            "How long a cancelled task may take to end before its process is replaced.",
        )
        .default("\"4s\""),
        Key::new("maxMessageSize", Shape::Size, "The longest message to a worker or from it, 64KiB to 256MiB.")
            .default("\"256MiB\""),
        Key::new(
            "url",
            Shape::Either(&[Shape::Text, Shape::List { noun: "an address", of: &Shape::Text }]),
            "Where a worker listens that somebody else started; a list for several.",
        ),
        Key::new(
            "token",
            Shape::Text,
            "The token that a worker over HTTP wants; a process that is started is told it.",
        ),
        Key::new("healthCheck", Shape::Object(&HEALTH_CHECK), "How a process that serves HTTP is asked if it is up."),
        Key::new("retry", Shape::Object(&ATTEMPTS), "Published in 0.10: how often a call is repeated.").planned(),
    ],
    required: &[&["command", "url"]],
};

static OPENAI: Object = Object {
    name: "OpenAi",
    about: "Where `openai` may send its requests.",
    keys: &[Key::new(
        "baseUrls",
        Shape::List { noun: "an address", of: &Shape::Text },
        "What the `base_url` of a step may be, or begin with; OPENAI_BASE_URL may be used in any case.",
    )
    .default("[\"https://api.openai.com/v1\"]")],
    required: &[],
};

static HEALTH_CHECK: Object = Object {
    name: "HealthCheck",
    about: "How a process that serves HTTP is asked if it is up.",
    keys: &[
        Key::new("path", Shape::Text, "The path that answers.").default("\"/health\""),
        Key::new("timeoutMs", MILLISECONDS, "How long it may take to be up.").default("60000"),
        Key::new("retryDelayMs", MILLISECONDS, "How often it is asked.").default("100"),
    ],
    required: &[],
};

static ATTEMPTS: Object = Object {
    name: "PluginRetry",
    about: "How often a call is repeated.",
    keys: &[
        Key::new("maxAttempts", AT_LEAST_ONE, "How often a call is made.").default("3").planned(),
        Key::new("backoff", Shape::ByType(super::BACKOFF), "The wait in between.").planned(),
    ],
    required: &[],
};
