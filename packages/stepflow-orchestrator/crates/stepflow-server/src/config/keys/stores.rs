//! Where runs and blobs are kept, in our spelling and in the published one.

use super::AT_LEAST_ONE;
use crate::config::shape::{Key, Object, Shape, Variant};

/// Where runs are kept.
pub const STATE: Shape = Shape::ByType(&[IN_MEMORY, SQLITE, POSTGRES]);

/// Where large values are kept.
pub const BLOBS: Shape = Shape::ByType(&[BLOBS_IN_MEMORY, FILESYSTEM]);

/// `storageConfig`: one store for everything, or one for each kind of thing.
pub const PUBLISHED: Shape = Shape::Either(&[ANY, Shape::Object(&PARTS)]);

/// `leaseManager`
pub const LEASES: Shape = Shape::ByType(&[
    Variant {
        name: "noOp",
        built: true,
        object: Object { name: "NoLeases", about: "One server owns all of its store.", keys: &[], required: &[] },
    },
    Variant {
        name: "etcd",
        built: false,
        object: Object {
            name: "EtcdLeases",
            about: "Leases in etcd.",
            keys: &[
                Key::new("endpoints", Shape::List { noun: "an endpoint", of: &Shape::Text }, "The etcd servers."),
                Key::new("key_prefix", Shape::Text, "What the leases' keys begin with.")
                    .default("\"/stepflow/leases\""),
            ],
            required: &[&["endpoints"]],
        },
    },
]);

const ANY: Shape = Shape::ByType(&[PLAIN_IN_MEMORY, SQLITE, FILESYSTEM, POSTGRES]);

static PARTS: Object = Object {
    name: "StorageParts",
    about: "A store for each kind of thing; one that is not named is the one of `metadata`.",
    keys: &[
        Key::new("metadata", ANY, "Flows and runs."),
        Key::new("blobs", ANY, "Large values."),
        Key::new("journal", ANY, "What happened in each run."),
    ],
    required: &[&["metadata"]],
};

const IN_MEMORY: Variant = Variant {
    name: "inMemory",
    built: true,
    object: Object {
        name: "InMemoryState",
        about: "In this process; gone when it ends.",
        keys: &[Key::new("keepFinished", AT_LEAST_ONE, "How many finished runs are kept.").default("10000")],
        required: &[],
    },
};

const PLAIN_IN_MEMORY: Variant = Variant {
    name: "inMemory",
    built: true,
    object: Object { name: "InMemoryStore", about: "In this process; gone when it ends.", keys: &[], required: &[] },
};

const BLOBS_IN_MEMORY: Variant = Variant {
    name: "inMemory",
    built: true,
    object: Object { name: "InMemoryBlobs", about: "In this process; gone when it ends.", keys: &[], required: &[] },
};

const DATABASE: Key = Key::new("databaseUrl", Shape::Text, "The database's address, such as `sqlite:state.db`.");

const CONNECTIONS: Key =
    Key::new("maxConnections", AT_LEAST_ONE, "How many connections are open at once.").default("10");

const MIGRATE: Key =
    Key::new("autoMigrate", Shape::Flag, "Whether an older database is brought up to date.").default("true");

const SQLITE: Variant = Variant {
    name: "sqlite",
    built: false,
    object: Object {
        name: "SqliteStore",
        about: "In a file.",
        keys: &[
            Key::new("path", Shape::Text, "The file.").default("\".stepflow/state.db\""),
            Key::new(
                "durability",
                Shape::Word(&["full", "relaxed"]),
                "Whether what was answered survives a power cut (`full`) or a crash of the process only (`relaxed`).",
            )
            .default("\"full\""),
            DATABASE,
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
        keys: &[DATABASE, CONNECTIONS, MIGRATE],
        required: &[&["databaseUrl"]],
    },
};

const FILESYSTEM: Variant = Variant {
    name: "filesystem",
    built: false,
    object: Object {
        name: "FilesystemBlobs",
        about: "In a folder.",
        keys: &[
            Key::new("path", Shape::Text, "The folder.").default("\".stepflow/blobs\""),
            Key::new("directory", Shape::Text, "Published: `path`."),
            Key::new("inlineBelow", Shape::Size, "Smaller values are kept with the runs.").default("\"1MiB\""),
        ],
        required: &[],
    },
};

/// `recovery`
pub static RECOVERY: Object = Object {
    name: "Recovery",
    about: "How runs of a lost server are taken over.",
    keys: &[
        Key::new("enabled", Shape::Flag, "Whether they are.").default("true").planned(),
        Key::new("checkIntervalSecs", AT_LEAST_ONE, "How often they are looked for.").default("30").planned(),
        Key::new("maxStartupRecovery", super::WHOLE, "How many are taken over at the start.").default("100").planned(),
        Key::new("maxClaimsPerCheck", super::WHOLE, "How many are taken over at once later.").default("10").planned(),
        Key::new("leaseTtlSecs", AT_LEAST_ONE, "How long a server that says nothing owns its runs.")
            .default("30")
            .planned(),
        Key::new("checkpointInterval", super::WHOLE, "After how many events the state is saved; 0 is never.")
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
        Key::new("enabled", Shape::Flag, "Whether they do.").default("true").planned(),
        Key::new("url", Shape::Text, "Where they find them.").planned(),
        Key::new("blobThreshold", Shape::Size, "Larger values are handed over by their id; 0 is never.").planned(),
    ],
    required: &[],
};
