//! The types of plugins.

use super::{AT_LEAST_ONE, MILLISECONDS};
use crate::config::shape::{Key, Object, Shape, Variant};

const TEXTS: Shape = Shape::List { noun: "an element", of: &Shape::Scalar };

const ENV: Shape = Shape::Map { noun: "the variable", of: &Shape::Scalar };

const COMMAND: Key = Key::new(
    "command",
    Shape::Text,
    "The program that serves the components, such as `stepflow-worker`: a name that is found in `PATH`, or a path.",
);

const ARGS: Key = Key::new("args", TEXTS, "The arguments of the program.").default("[]");

const ENVIRONMENT: Key =
    Key::new("env", ENV, "Environment variables of the program, in addition to those that it inherits.").default("{}");

const VALIDATE_OUTPUTS: Key = Key::new(
    "validateOutputs",
    Shape::Flag,
    "Whether outputs must fit the component's schema. In `stepflow test` they must, unless this is `false`.",
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
                    "Folders and files that `load_file` may read in addition to the working directory. Relative paths start at the config's folder.",
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
            about: "Components that answer from a list instead of doing real work, for tests.",
            keys: &[
                Key::new(
                    "components",
                    Shape::Map { noun: "the component", of: &Shape::Any },
                    "The components, by path. Each has `input_schema`, `output_schema` and `behaviors`, which give the answer to each input.",
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
            about: "Published from 0.12: workers that take their tasks from a queue.",
            keys: &[
                COMMAND,
                ARGS,
                ENVIRONMENT,
                Key::new("queueName", Shape::Text, "The queue that its workers take tasks from."),
                Key::new("queueTimeoutSecs", SECONDS, "How long a task may wait for a worker.").default("30"),
                Key::new("executionTimeoutSecs", SECONDS, "How long a task may take; no limit when absent."),
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
                Key::new("consumer", Shape::Text, "The consumer that its workers take tasks from."),
                COMMAND,
                ARGS,
                ENVIRONMENT,
                Key::new("queueTimeoutSecs", SECONDS, "How long a task may wait for a worker.").default("30"),
                Key::new("executionTimeoutSecs", SECONDS, "How long a task may take; no limit when absent."),
            ],
            required: &[&["url"], &["consumer"]],
        },
    },
];

const STEPFLOW: Object = Object {
    name: "StepflowPlugin",
    about: "A worker: a process with components. The server starts it, or reaches it by its address.",
    keys: &[
        COMMAND,
        ARGS,
        ENVIRONMENT,
        Key::new(
            "inheritEnv",
            Shape::Either(&[Shape::Flag, Shape::List { noun: "a variable", of: &Shape::Text }]),
            "Which environment variables the program inherits: all but `STEPFLOW_*` (`true`), none (`false`), or those of a list.",
        )
        .default("true"),
        Key::new("startTimeout", Shape::Time, "How long a worker may take to start.").default("\"5m\""),
        Key::new("maxConcurrency", AT_LEAST_ONE, "How many tasks a process gets at the same time, at most. It gets fewer if it announces fewer."),
        Key::new(
            "transport",
            Shape::Word(&["stdio", "http"]),
            "How the server communicates with a process. When absent: over HTTP if its first line names a port, else on stdio.",
        ),
        Key::new("instances", AT_LEAST_ONE, "How many processes are started. Each task goes to the least busy one.")
            .default("1"),
        VALIDATE_OUTPUTS,
        Key::new(
            "cancelGrace",
            Shape::Time,
            "How long a cancelled task may take to end. After that its process is replaced.",
        )
        .default("\"4s\""),
        Key::new("maxMessageSize", Shape::Size, "The largest message to a worker or from it, 64KiB to 256MiB.")
            .default("\"256MiB\""),
        Key::new(
            "url",
            Shape::Either(&[Shape::Text, Shape::List { noun: "an address", of: &Shape::Text }]),
            "The address of a worker that is running already, or a list of addresses.",
        ),
        Key::new(
            "token",
            Shape::Text,
            "The token that a worker over HTTP requires. A process that the server starts gets it from the server.",
        ),
        Key::new("healthCheck", Shape::Object(&HEALTH_CHECK), "How the server finds out that a process is ready to serve HTTP."),
        Key::new("retry", Shape::Object(&ATTEMPTS), "Published in 0.10: how often a failed call is repeated.").planned(),
    ],
    required: &[&["command", "url"]],
};

static OPENAI: Object = Object {
    name: "OpenAi",
    about: "Where `openai` may send its requests.",
    keys: &[Key::new(
        "baseUrls",
        Shape::List { noun: "an address", of: &Shape::Text },
        "The addresses that the `base_url` of a step may be or begin with. OPENAI_BASE_URL is always allowed.",
    )
    .default("[\"https://api.openai.com/v1\"]")],
    required: &[],
};

static HEALTH_CHECK: Object = Object {
    name: "HealthCheck",
    about: "How the server finds out that a process is ready to serve HTTP.",
    keys: &[
        Key::new("path", Shape::Text, "The path of the health check.").default("\"/health\""),
        Key::new("timeoutMs", MILLISECONDS, "How long the process may take to be ready.").default("60000"),
        Key::new("retryDelayMs", MILLISECONDS, "The time between two checks.").default("100"),
    ],
    required: &[],
};

static ATTEMPTS: Object = Object {
    name: "PluginRetry",
    about: "How often a call is repeated.",
    keys: &[
        Key::new("maxAttempts", AT_LEAST_ONE, "How often a call is tried, at most.").default("3").planned(),
        Key::new("backoff", Shape::ByType(super::BACKOFF), "The wait between two tries.").planned(),
    ],
    required: &[],
};
