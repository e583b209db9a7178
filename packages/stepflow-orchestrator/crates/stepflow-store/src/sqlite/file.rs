//! The database's file: its settings, its schema.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::lock::Lock;
use super::options::{Durability, Error, beside};

/// Older libraries can corrupt a WAL file when two connections write and checkpoint at once.
const _: () = assert!(rusqlite::ffi::SQLITE_VERSION_NUMBER >= 3_051_003, "SQLite 3.51.3 or newer is needed");

/// The changes from each version of the schema to the next. The first one starts with an empty database.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// How long a connection waits for another one.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// How many bytes a WAL file keeps when it begins again.
const WAL_KEPT: u64 = 64 << 20;

/// A connection that writes.
pub(super) fn open(path: &Path, durability: Durability) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    // On macOS only this makes the disk write its own cache.
    connection.pragma_update(None, "fullfsync", durability == Durability::Full)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT.cast_signed())?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(connection)
}

/// A database that exists, for this process alone.
pub(super) fn alone(path: &Path, durability: Durability) -> Result<(Arc<Lock>, Connection), Error> {
    if !path.is_file() {
        return Err(Error::cannot_open(path, &"there is no such file"));
    }
    let lock = Lock::take(path)?;
    let connection = open(path, durability).map_err(|error| Error::of(path, &error))?;
    migrate(&connection, path, true)?;
    Ok((lock, connection))
}

/// A connection that reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Brings the database to the schema of this release.
pub(super) fn migrate(connection: &Connection, path: &Path, may_change: bool) -> Result<(), Error> {
    migrate_by(connection, path, MIGRATIONS, may_change)
}

fn migrate_by(connection: &Connection, path: &Path, migrations: &[&str], may_change: bool) -> Result<(), Error> {
    let failed = |error: rusqlite::Error| Error::of(path, &error);
    let known = migrations.len();
    let found = version(connection).map_err(failed)?.ok_or_else(|| Error::Foreign { path: path.to_owned() })?;
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    if found == known {
        return Ok(());
    }
    if found > 0 && !may_change {
        return Err(Error::Older { path: path.to_owned(), found, known });
    }
    if found > 0 {
        copy(connection, path, found)?;
    }
    let steps = migrations.iter().skip(found).copied().collect::<String>();
    let sql = format!(
        "BEGIN IMMEDIATE; {steps}; INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', {known}); COMMIT"
    );
    let done = connection.execute_batch(&sql);
    if done.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    done.map_err(failed)
}

/// The version of the schema, 0 for an empty database; `None` for a database of another program.
fn version(connection: &Connection) -> rusqlite::Result<Option<usize>> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Some(0));
    }
    let columns = "SELECT count(*) FROM pragma_table_info('meta') WHERE name IN ('key', 'value')";
    if connection.query_row(columns, [], |row| row.get::<_, i64>(0))? != 2 {
        return Ok(None);
    }
    let sql = "SELECT value FROM meta WHERE key = 'schema_version'";
    let found: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(found.and_then(|found| usize::try_from(found).ok()))
}

/// Keeps a copy of the database as the last release has left it.
fn copy(connection: &Connection, path: &Path, version: usize) -> Result<(), Error> {
    let name = beside(path, &format!(".v{version}"));
    let failed = |error: std::io::Error| Error::cannot_open(&name, &error);
    if fs::metadata(&name).is_ok_and(|copy| copy.len() > 0) {
        fs::remove_file(&name).map_err(failed)?;
    }
    let copied = connection.execute("VACUUM INTO ?1", [name.to_string_lossy()]);
    copied.map_err(|error| Error::of(&name, &error))?;
    fs::set_permissions(&name, Permissions::from_mode(0o600)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_before_is_copied_and_migrated_and_one_of_later_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let lock = Lock::take(&path).unwrap();
        let connection = open(&path, Durability::Full).unwrap();
        let first = "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID; CREATE TABLE a (x);";
        migrate_by(&connection, &path, &[first], true).unwrap();
        migrate_by(&connection, &path, &[first, "CREATE TABLE b (x);"], true).unwrap();
        assert_eq!(version(&connection).unwrap(), Some(2));
        assert_eq!(version(&Connection::open(beside(&path, ".v1")).unwrap()).unwrap(), Some(1));
        let broken = migrate_by(&connection, &path, &[first, "", "CREATE TABLE c (x); CREATE TABLE b (x);"], true);
        assert!(broken.is_err());
        assert_eq!(version(&connection).unwrap(), Some(2), "a migration is done or not");
        let newer = migrate_by(&connection, &path, &[first], true).unwrap_err();
        assert!(matches!(newer, Error::Newer { found: 2, known: 1, .. }));
        let older = migrate_by(&connection, &path, &[first, "", ""], false).unwrap_err();
        assert!(matches!(older, Error::Older { found: 2, known: 3, .. }), "{older}");
        drop(lock);
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
        for tables in
            ["CREATE TABLE flows (id TEXT);", "CREATE TABLE meta (id TEXT);", "CREATE TABLE meta (key, value);"]
        {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(tables).unwrap();
            let refused = migrate_by(&connection, Path::new("state.db"), MIGRATIONS, true).unwrap_err();
            assert!(matches!(refused, Error::Foreign { .. }), "{tables}: {refused}");
        }
    }
}
