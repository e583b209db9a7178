//! Giving back to the file system what a database does not need any more.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::chores::Chores;
use super::disk::Disk;
use super::file;
use super::files::Files;
use super::gauge::Gauges;
use super::lock;
use super::options::{Error, Options};
use super::swept::Swept;

/// What was deleted, and the size of the database's file before and after, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuumed {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
    /// What nothing needed any more, and the runs whose time was over.
    pub swept: Swept,
}

/// Takes away what nothing needs any more, also runs whose retention is over, and writes the database anew without the
/// room that it had. No server may have
/// it; there has to be room for a second copy while it works.
///
/// # Errors
///
/// When another process has the database, or it cannot be read or written.
pub fn vacuum(options: &Options) -> Result<Vacuumed, Error> {
    let options = &lock::followed(options)?;
    let path = &options.path;
    let (lock, connection) = file::alone(options)?;
    let before = size(path);
    let name = file::id(&connection, path)?;
    let files = Files::new(options.blobs().join(name), options.inline_below);
    let mut disk = Disk::new(path.clone(), options.durability, connection, Arc::clone(&lock));
    let swept = Chores::new(options.retention).round(&mut disk, &Gauges::default(), &files, &HashMap::new());
    let swept = swept.map_err(|why| Error::failed("tidy up", path, &why))?;
    disk.close();
    let connection = file::open(path, options.durability).map_err(|error| Error::of(path, &error))?;
    let written = connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    written.map_err(|error| Error::failed("write anew", path, &error))?;
    drop(connection);
    drop(lock);
    Ok(Vacuumed { before, after: size(path), swept })
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
