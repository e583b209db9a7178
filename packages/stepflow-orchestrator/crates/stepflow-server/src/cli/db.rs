//! The options of `db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What can be done with a database.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Copy the database to a new file, and its large values to a folder beside it. The server may be running
    ///
    /// `db restore` puts the copy in the place of the database.
    ///
    /// Exit codes: 0 the copy is complete; 2 the command line is wrong; 3 the database cannot be read, or the copy
    /// cannot be written.
    Backup(BackupArgs),
    /// Put a backup in the place of the database, and its large values where the configuration has them
    ///
    /// Stop the server before. The database that is there, its `-wal` and `-shm` and its large values are not deleted:
    /// they get names with `before` and the time, which this command prints. A backup that is damaged is refused.
    ///
    /// Exit codes: 0 the database is the backup; 2 the command line is wrong; 3 the backup cannot be used, or a server
    /// has the database, or something cannot be written.
    Restore(RestoreArgs),
    /// Look for damage: read every run again from its journal and compare it with what the server shows
    ///
    /// Prints one line for each fault to stdout. No server may have the database meanwhile.
    ///
    /// Exit codes: 0 there are none; 1 there are faults; 2 the command line is wrong; 3 the database cannot be read, or
    /// a server has it.
    Check(DatabaseArgs),
    /// Delete what nothing needs any more, and finished runs whose `retention` is over; then shrink the file
    ///
    /// Says how many runs and blobs were deleted. With `--path` the configuration is not read: then no `retention` applies,
    /// and no run is deleted.
    ///
    /// No server may have the database meanwhile. There must be space for a second copy.
    Vacuum(DatabaseArgs),
}

/// Which database.
#[derive(Debug, Args)]
pub struct DatabaseArgs {
    /// The database file [default: the one of `stateStore` in the configuration, else `.stepflow/state.db`]. With this
    /// option no configuration is read
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub path: Option<PathBuf>,
    /// The folder of the large values [default: the one of `blobStore` in the configuration, else the one beside the
    /// database that has its name with `-blobs`]. Database files outside of the configuration need this when their large
    /// values are elsewhere
    #[arg(long, value_name = "FOLDER")]
    pub blobs: Option<PathBuf>,
    /// Configuration file; `-` is stdin. Without this option it is `stepflow-config.yml` in the current folder; the name
    /// may also end with `.yaml` or have a `_`
    #[arg(short, long, value_name = "FILE", env = "STEPFLOW_CONFIG")]
    pub config: Option<PathBuf>,
}

/// `db backup`
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The new file
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// `db restore`
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup; its large values are in the folder beside it that has its name with `-blobs`
    #[arg(value_name = "FILE")]
    pub from: PathBuf,
    #[command(flatten)]
    pub database: DatabaseArgs,
}
