//! What a store is opened with, and why it may not open.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outage;

/// The store's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// The database's file. It and its folder are made when they do not exist.
    pub path: PathBuf,
    /// What survives when the machine loses power.
    #[serde(default)]
    pub durability: Durability,
    /// How many connections read at once.
    #[serde(default = "default_readers")]
    pub readers: usize,
    /// Whether the tables of an older release are changed to the current ones.
    #[serde(default = "default_migrate")]
    pub migrate: bool,
    /// The folder of values that are too long for the database; without one, it stands beside the file. Each
    /// database has a folder of its own in it.
    #[serde(default)]
    pub blobs: Option<PathBuf>,
    /// Values of so many bytes and more are files in that folder.
    #[serde(default = "default_inline_below")]
    pub inline_below: usize,
    /// How long what has ended is kept.
    #[serde(default)]
    pub retention: Retention,
}

fn default_inline_below() -> usize {
    1 << 20
}

fn default_migrate() -> bool {
    true
}

fn default_readers() -> usize {
    2
}

impl Options {
    /// The usual settings for this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            durability: Durability::default(),
            readers: default_readers(),
            migrate: default_migrate(),
            blobs: None,
            inline_below: default_inline_below(),
            retention: Retention::default(),
        }
    }

    /// The folder of the long values.
    pub(super) fn blobs(&self) -> PathBuf {
        self.blobs.clone().unwrap_or_else(|| beside(&self.path, "-blobs"))
    }
}

/// How long trees are kept that have ended. Without a time, for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// All of them; and contents that nothing names, since they were put last.
    #[serde(default)]
    pub runs: Option<Duration>,
    /// Those that failed, in place of that time.
    #[serde(default)]
    pub keep_failed: Option<Duration>,
}

/// What survives when the machine loses power. When only the server ends, everything does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// All that was acknowledged.
    #[default]
    Full,
    /// The last moments may be lost, all of them from some point on.
    Relaxed,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("`{path}` is in use by {holder}: stop that server, or give this one another path")]
    Held {
        /// The database.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// A later release has written it.
    #[error(
        "`{path}` was written by a newer release (schema {found}, this one knows {known}): install that release, or \
         restore the copy that it made beside the file (`stepflow db restore FILE`)"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The newest one that this release knows.
        known: usize,
    },
    /// An earlier release has written it, and its tables must not be changed.
    #[error(
        "`{path}` was written by an older release (schema {found}, this one writes {known}), and `autoMigrate` is off: \
         allow it once, or install that release"
    )]
    Older {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: usize,
        /// The one that this release writes.
        known: usize,
    },
    /// Another program has made it.
    #[error("`{path}` is a database of another program or of an older Stepflow: give this server another path")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// The file is no whole database.
    #[error(
        "`{path}` is damaged ({reason}): restore a backup with `stepflow db restore FILE`, or move the file and its \
         `-wal` away to begin anew"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// It is a backup, beside the WAL of another database.
    #[error(
        "`{path}` is a backup, and `{wal}` belongs to the database that was there before it: move `{wal}` away, or put \
         a backup in its place with `stepflow db restore FILE`"
    )]
    StrangeWal {
        /// The database.
        path: PathBuf,
        /// The file beside it.
        wal: PathBuf,
    },
    /// A backup was being put in its place when that was interrupted.
    #[error(
        "a backup was being restored as `{path}`, which has not ended: do it again with `stepflow db restore FILE`"
    )]
    HalfRestored {
        /// The database.
        path: PathBuf,
    },
    /// Something could not be done with it.
    #[error("cannot {doing} `{path}`: {reason}")]
    Failed {
        /// What was to be done.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file cannot be made, read or written.
    #[error("cannot open `{path}`: {reason}")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl Error {
    pub(super) fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::CannotOpen { path: path.to_owned(), reason: error.to_string() }
    }

    pub(super) fn failed(doing: &'static str, path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self::Failed { doing, path: path.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        use rusqlite::Error as Sql;
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        // A value that is another one than we write is damage, too.
        let is_damage = match error {
            Sql::FromSqlConversionFailure(..)
            | Sql::Utf8Error(..)
            | Sql::IntegralValueOutOfRange(..)
            | Sql::InvalidColumnType(..)
            | Sql::QueryReturnedNoRows => true,
            _ => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)),
        };
        match is_damage {
            true => Self::Damaged { path: path.to_owned(), reason: error.to_string() },
            false if outage::is_full(error) => Self::cannot_open(path, &format!("its disk is full ({error})")),
            false => Self::cannot_open(path, error),
        }
    }
}

/// A name with something added to it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
