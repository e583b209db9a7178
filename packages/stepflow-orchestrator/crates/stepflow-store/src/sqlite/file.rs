//! The database's file: its settings, its schema.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::file_mark::{self, Mark, has_wal};
use super::lock::Lock;
use super::options::{Durability, Error, Options, beside};

/// Older libraries can corrupt a WAL file when two connections write and checkpoint at once.
const _: () = assert!(rusqlite::ffi::SQLITE_VERSION_NUMBER >= 3_051_003, "SQLite 3.51.3 or newer is needed");

/// The changes from each version of the schema to the next. The first one starts with an empty database.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// The version of the schema of this release.
pub(super) const SCHEMA: usize = MIGRATIONS.len();

/// How long a connection waits for another one.
pub(super) const BUSY: Duration = Duration::from_secs(5);

/// The size of the smallest page.
const SMALLEST: u64 = 512;

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

/// Refuses a path at which there is no file.
pub(super) fn is_there(path: &Path) -> Result<(), Error> {
    match path.is_file() {
        true => Ok(()),
        false => Err(Error::cannot_open(path, &"there is no such file")),
    }
}

/// Refuses a file that has lost what it had. SQLite would begin a new database in it, and delete its WAL.
pub(super) fn refuse_remains(options: &Options) -> Result<(), Error> {
    let path = &options.path;
    let blobs = options.blobs();
    // A folder that the settings name may have the values of other databases.
    let has_values = || options.blobs.is_none() && fs::read_dir(&blobs).is_ok_and(|mut folder| folder.next().is_some());
    let reason = match fs::metadata(path).map(|file| file.len()) {
        Ok(0) if has_wal(path) => "it is empty, and its WAL is not".to_owned(),
        Ok(0) if has_values() => format!("it is empty, and there are large values of it in `{}`", blobs.display()),
        Ok(bytes @ 1..SMALLEST) => format!("it has only {bytes} bytes"),
        _ => return Ok(()),
    };
    Err(Error::Damaged { path: path.to_owned(), reason })
}

/// A database that exists, for this process alone.
pub(super) fn alone(options: &Options) -> Result<(Arc<Lock>, Connection), Error> {
    let (path, durability) = (&options.path, options.durability);
    is_there(path)?;
    refuse_remains(options)?;
    let lock = Lock::take(path)?;
    file_mark::begun(path)?;
    let connection = open(path, durability).map_err(|error| Error::of(path, &error))?;
    migrate(&connection, path, true)?;
    Ok((lock, connection))
}

/// A connection of a database that nobody changes meanwhile. It changes nothing, and makes no files beside it.
pub(super) fn open_at_rest(path: &Path) -> rusqlite::Result<Connection> {
    if !has_wal(path) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        return Connection::open_with_flags(unchanging(path), flags);
    }
    // The index of a WAL is a file that is written, or is in the memory of a process that has the database for itself.
    open_alone(path).or_else(|_| open_read_only(path))
}

fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "query_only", true)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A connection that changes nothing: the database may be somebody else's.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The address of a file without a WAL, of which SQLite then makes none.
fn unchanging(path: &Path) -> String {
    let mut address = "file:".to_owned();
    // A path that began with two slashes would name a host.
    if path.is_absolute() {
        address.push_str("//");
    }
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => address.push(char::from(*byte)),
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?immutable=1");
    address
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
    let found = version_up_to(connection, path, known)?;
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

/// The version of the schema, 0 for an empty database; never one that this release does not know.
pub(super) fn known_version(connection: &Connection, path: &Path) -> Result<usize, Error> {
    version_up_to(connection, path, SCHEMA)
}

fn version_up_to(connection: &Connection, path: &Path, known: usize) -> Result<usize, Error> {
    let found = version(connection).map_err(|error| Error::of(path, &error))?;
    match found.ok_or_else(|| Error::Foreign { path: path.to_owned() })? {
        found if found > known => Err(Error::Newer { path: path.to_owned(), found, known }),
        found => Ok(found),
    }
}

/// The database's own name. A folder that it shares with others is not a danger for their files.
pub(super) fn id(connection: &Connection, path: &Path) -> Result<String, Error> {
    let id = connection.query_row("SELECT value FROM meta WHERE key = 'id'", [], |row| row.get::<_, String>(0));
    let id = id.map_err(|error| Error::of(path, &error))?;
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::Damaged { path: path.to_owned(), reason: format!("its id is `{}`", id.escape_debug()) });
    }
    Ok(id)
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
    fs::set_permissions(&name, Permissions::from_mode(0o600)).map_err(failed)?;
    Mark::Backup.set(&name).map_err(failed)
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
