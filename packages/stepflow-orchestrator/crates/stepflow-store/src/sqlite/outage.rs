//! Why the database or one of its files cannot be read or written, in words that callers may hear.

use std::io;
use std::path::Path;

use rusqlite::{ErrorCode, ffi};
use stepflow_engine::ports::StoreError;

/// What callers hear where nothing better is known.
const REPORTS_ERRORS: &str = "its disk reports errors";

const FULL: &str = "its disk is full";
const READ_ONLY: &str = "its folder or its disk cannot be written";
const MISSING: &str = "its file was deleted or replaced";

/// SQLite could not do something with the database.
pub(super) fn of_database(path: &Path, error: &rusqlite::Error) -> StoreError {
    let reason = match error.sqlite_error_code() {
        _ if is_full(error) => FULL,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => READ_ONLY,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "its database is damaged",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program locks its database",
        Some(ErrorCode::CannotOpen) => "its database cannot be opened",
        Some(ErrorCode::OperationInterrupted) => "reading took too long",
        Some(ErrorCode::OutOfMemory) => "there is not enough memory",
        Some(ErrorCode::SystemIoFailure) => REPORTS_ERRORS,
        _ => "its database reports an error",
    };
    StoreError::unavailable(reason, format!("`{}`: {error}", path.display()))
}

/// Whether there is no room on the disk. The index of a WAL is a file, too.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(ffi::SQLITE_FULL | ffi::SQLITE_IOERR_SHMSIZE))
}

/// The system could not do something with a file.
pub(super) fn of_file(path: &Path, error: &io::Error) -> StoreError {
    use io::ErrorKind::{
        FileTooLarge, NotADirectory, NotFound, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let reason = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => FULL,
        PermissionDenied | ReadOnlyFilesystem => READ_ONLY,
        NotFound | NotADirectory => MISSING,
        _ => REPORTS_ERRORS,
    };
    StoreError::unavailable(reason, format!("`{}`: {error}", path.display()))
}

/// A file has another content or is gone, though its connection is open.
pub(super) fn of_missing(path: &Path) -> StoreError {
    let help = "put it back, or restart the server";
    let detail = format!("`{}` was deleted or replaced while the server had it: {help}", path.display());
    StoreError::unavailable(MISSING, detail)
}

/// Something in the store has panicked.
pub(super) fn of_panic() -> StoreError {
    StoreError::unavailable("it failed on what it was asked", "the store has panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_full_also_by_who_opens_a_database() {
        for (code, is_full) in
            [(ffi::SQLITE_FULL, true), (ffi::SQLITE_IOERR_SHMSIZE, true), (ffi::SQLITE_IOERR_READ, false)]
        {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let told = super::super::Error::of(Path::new("state.db"), &error).to_string();
            assert_eq!(told.contains("its disk is full"), is_full, "{told}");
            let StoreError::Unavailable(outage) = of_database(Path::new("state.db"), &error) else { panic!() };
            assert_eq!(outage.reason == FULL, is_full, "{outage:?}");
        }
    }
}
