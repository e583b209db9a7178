//! Who has a database: one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::options::{Error, Options, beside};

/// How many links may follow one another before a file is found.
const LINKS: usize = 40;

/// The options with the file to which their path leads. A lock, a WAL and a folder of long values stand beside the file,
/// not beside a link to it.
pub(super) fn followed(options: &Options) -> Result<Options, Error> {
    Ok(Options { path: target(&options.path)?, ..options.clone() })
}

fn target(path: &Path) -> Result<PathBuf, Error> {
    let mut file = path.to_owned();
    for _ in 0..LINKS {
        let Ok(target) = fs::read_link(&file) else { return Ok(file) };
        file = file.parent().unwrap_or(Path::new("")).join(target);
    }
    Err(Error::cannot_open(path, &"its links lead nowhere"))
}

/// The database is this process's own.
pub(super) struct Lock {
    name: PathBuf,
    file: File,
    /// The database's file. Where its own lock is possible, a second process is refused although somebody has deleted
    /// the lock file.
    database: File,
    is_double: bool,
}

impl Lock {
    /// Takes the database for this process. Makes its folder and an empty file, if they are not there.
    pub fn take(path: &Path) -> Result<Arc<Self>, Error> {
        refuse_places(path)?;
        let failed = |error: io::Error| Error::cannot_open(path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let name = beside(path, ".lock");
        let mut file = private().truncate(false).open(&name).map_err(failed)?;
        if !locked(&file, path)? {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            return Err(held(path, holder));
        }
        // The WAL and its index get the permissions of the database.
        let database = private().truncate(false).open(path).map_err(failed)?;
        let is_double = has_locks_of_its_own(&database);
        if is_double && !locked(&database, path)? {
            return Err(held(path, String::new()));
        }
        let host = rustix::system::uname();
        let holder = format!("process {} on {}", std::process::id(), host.nodename().to_string_lossy());
        // On a full disk there is no room for the name, and what is in the database can be read.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Arc::new(Self { name, file, database, is_double }))
    }

    /// Whether no other process can have taken the database meanwhile.
    pub fn is_held(&self) -> bool {
        let id = |file: io::Result<fs::Metadata>| file.ok().map(|file| (file.dev(), file.ino()));
        self.is_double || id(fs::metadata(&self.name)) == id(self.file.metadata())
    }

    /// The lock file's path.
    pub fn name(&self) -> &Path {
        &self.name
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the files is not enough: a process that is being started has them open, too, for a moment.
        for file in [&self.database, &self.file] {
            let _ = file.unlock();
        }
    }
}

/// Refuses a path at which no file can be, before anything is made there.
fn refuse_places(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(file) if file.is_dir() => return Err(Error::cannot_open(path, &"it is a folder, not a file")),
        Ok(file) if !file.is_file() => return Err(Error::cannot_open(path, &"it is no regular file")),
        _ => {}
    }
    let there = path.ancestors().skip(1).find(|above| above.exists()).filter(|above| !above.is_dir());
    there.map_or(Ok(()), |file| Err(is_no_folder(path, file)))
}

/// Refuses a folder for long values that is none.
pub(super) fn refuse_blobs(path: &Path, blobs: &Path) -> Result<(), Error> {
    let there = blobs.ancestors().find(|above| above.exists()).filter(|above| !above.is_dir());
    there.map_or(Ok(()), |file| Err(is_no_folder(path, file)))
}

fn is_no_folder(path: &Path, file: &Path) -> Error {
    Error::cannot_open(path, &format!("`{}` is a file, not a folder", file.display()))
}

fn held(path: &Path, holder: String) -> Error {
    let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
    Error::Held { path: path.to_owned(), holder }
}

/// Locks a file, unless another process has.
fn locked(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Err(Error::cannot_open(path, &"its file system has no locks: put it on a disk of this machine"))
        }
        Err(TryLockError::Error(error)) => Err(Error::cannot_open(path, &error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// Whether a lock of the whole file does not get in the way of the locks that SQLite takes on parts of it. On a network
/// and on other systems than Linux they are of one kind.
#[cfg(target_os = "linux")]
fn has_locks_of_its_own(file: &File) -> bool {
    /// NFS, SMB and CIFS.
    const NETWORKS: [i128; 4] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42];
    rustix::fs::fstatfs(file).is_ok_and(|system| !NETWORKS.contains(&(i128::from(system.f_type) & 0xffff_ffff)))
}

#[cfg(not(target_os = "linux"))]
fn has_locks_of_its_own(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_is_deleted_or_another_one_is_noticed_where_it_is_the_only_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mut lock = Lock::take(&path).unwrap();
        let lock = Arc::get_mut(&mut lock).unwrap();
        lock.is_double = false;
        assert!(lock.is_held());
        fs::remove_file(beside(&path, ".lock")).unwrap();
        assert!(!lock.is_held());
        fs::write(beside(&path, ".lock"), "").unwrap();
        assert!(!lock.is_held());
    }

    #[test]
    fn links_are_followed_to_files_that_are_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("b/state.db", at("link")).unwrap();
        std::os::unix::fs::symlink(at("link"), at("far")).unwrap();
        std::os::unix::fs::symlink("round", at("round")).unwrap();
        assert_eq!(target(&at("far")).unwrap(), at("b/state.db"));
        assert_eq!(target(&at("state.db")).unwrap(), at("state.db"));
        assert!(target(&at("round")).is_err());
    }
}
