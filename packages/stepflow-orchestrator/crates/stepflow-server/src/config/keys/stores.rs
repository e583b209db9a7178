//! The stores of runs and blobs, in our spelling and in the one of earlier releases.

use super::AT_LEAST_ONE;
use crate::config::shape::{Key, Object, Shape, Variant};

/// Where runs are kept.
pub const STATE: Shape = Shape::ByType(&[IN_MEMORY, SQLITE, POSTGRES]);

/// Where values are kept that are too large for the database.
pub const BLOBS: Shape = Shape::ByType(&[BLOBS_IN_MEMORY, FILESYSTEM]);

/// `storageConfig`: one store for everything, or one for each kind of thing.
pub const PUBLISHED: Shape = Shape::Either(&[ANY, Shape::Object(&PARTS)]);

/// `leaseManager`
pub const LEASES: Shape = Shape::ByType(&[
    Variant {
        name: "noOp",
        built: true,
        object: Object { name: "NoLeases", about: "Each server has a store of its own.", keys: &[], required: &[] },
    },
    Variant {
        name: "etcd",
        built: false,
        object: Object {
            name: "EtcdLeases",
            about: "Several servers agree through etcd on which of them runs what.",
            keys: &[
                Key::new("endpoints", Shape::List { noun: "an endpoint", of: &Shape::Text }, "The etcd servers."),
                Key::new("key_prefix", Shape::Text, "The prefix of all keys in etcd.").default("\"/stepflow/leases\""),
            ],
            required: &[&["endpoints"]],
        },
    },
]);

const ANY: Shape = Shape::ByType(&[IN_MEMORY, SQLITE, FILESYSTEM, POSTGRES]);

static PARTS: Object = Object {
    name: "StorageParts",
    about: "One store for each kind of data. A kind without a store uses the one of `metadata`.",
    keys: &[
        Key::new("metadata", ANY, "Flows and runs."),
        Key::new("blobs", ANY, "Values that are too large for the database."),
        Key::new("journal", ANY, "The events of runs, from which they are continued."),
    ],
    required: &[&["metadata"]],
};

const IN_MEMORY: Variant = Variant {
    name: "inMemory",
    built: true,
    object: Object {
        name: "InMemoryState",
        about: "In the memory of this process. The data is gone when the process ends.",
        keys: &[Key::new("keepFinished", AT_LEAST_ONE, "How many finished runs are kept.").default("10000")],
        required: &[],
    },
};

const BLOBS_IN_MEMORY: Variant = Variant {
    name: "inMemory",
    built: true,
    object: Object {
        name: "InMemoryBlobs",
        about: "In the memory of this process. The data is gone when the process ends.",
        keys: &[],
        required: &[],
    },
};

const CONNECTIONS: Key = Key::new(
    "maxConnections",
    AT_LEAST_ONE,
    "How many connections read at the same time; more than 64 count as 64. Earlier releases count all connections.",
)
.default("2");

const MIGRATE: Key = Key::new(
    "autoMigrate",
    Shape::Flag,
    "Whether the tables of an older release are changed to the current ones; otherwise the server does not start.",
)
.default("true");

const SQLITE: Variant = Variant {
    name: "sqlite",
    built: true,
    object: Object {
        name: "SqliteStore",
        about: "In a file. The data stays when the process ends, however it ends.",
        keys: &[
            Key::new("path", Shape::Text, "The path of the database file.").default("\".stepflow/state.db\""),
            Key::new(
                "durability",
                Shape::Word(&["full", "relaxed"]),
                "Whether data that was acknowledged survives a power failure (`full`) or only a crash of the process (`relaxed`).",
            )
            .default("\"full\""),
            Key::new(
                "databaseUrl",
                Shape::Text,
                "In the place of `path`: `sqlite:state.db`, `sqlite:///var/lib/state.db` or, in memory, `sqlite::memory:`.",
            ),
            CONNECTIONS,
            MIGRATE,
        ],
        required: &[],
    },
};

const POSTGRES: Variant = Variant {
    name: "postgres",
    built: false,
    object: Object {
        name: "PostgresStore",
        about: "In PostgreSQL.",
        keys: &[
            Key::new("databaseUrl", Shape::Text, "The database's address, such as `postgres://host/database`."),
            CONNECTIONS,
            MIGRATE,
        ],
        required: &[&["databaseUrl"]],
    },
};

const FILESYSTEM: Variant = Variant {
    name: "filesystem",
    built: true,
    object: Object {
        name: "FilesystemBlobs",
        about: "In a folder, beside a database.",
        keys: &[
            Key::new(
                "path",
                Shape::Text,
                "The path of the folder. Without it, the folder stands beside the database, with `-blobs` after its name.",
            ),
            Key::new("directory", Shape::Text, "Published: `path`."),
            Key::new(
                "inlineBelow",
                Shape::Size,
                "Smaller values are kept in the database, others as files in the folder.",
            )
            .default("\"1MiB\""),
        ],
        required: &[],
    },
};

/// `recovery`
pub static RECOVERY: Object = Object {
    name: "Recovery",
    about: "How a server continues the runs of another one that was lost.",
    keys: &[
        Key::new("enabled", Shape::Flag, "Whether runs are taken over.").default("true").planned(),
        Key::new("checkIntervalSecs", AT_LEAST_ONE, "The time between two searches for such runs.")
            .default("30")
            .planned(),
        Key::new("maxStartupRecovery", super::WHOLE, "How many runs are taken over when the server starts, at most.")
            .default("100")
            .planned(),
        Key::new("maxClaimsPerCheck", super::WHOLE, "How many runs are taken over in each later search, at most.")
            .default("10")
            .planned(),
        Key::new(
            "leaseTtlSecs",
            AT_LEAST_ONE,
            "How long the runs of a server that does not respond are still left to it.",
        )
        .default("30")
        .planned(),
        Key::new(
            "checkpointInterval",
            super::WHOLE,
            "The number of events after which the state is saved; 0 means never.",
        )
        .default("1000")
        .planned(),
    ],
    required: &[],
};

/// `blobApi`
pub static BLOB_API: Object = Object {
    name: "BlobApi",
    about: "How workers reach large values.",
    keys: &[
        Key::new("enabled", Shape::Flag, "Whether workers can read and write large values.").default("true").planned(),
        Key::new("url", Shape::Text, "The address for the workers.").planned(),
        Key::new("blobThreshold", Shape::Size, "Values above this size are passed by their id; 0 means never.")
            .planned(),
    ],
    required: &[],
};
