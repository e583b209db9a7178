//! Files that commands write. Each is written under another name in the same folder and then renamed, so that a reader
//! sees either the whole new file or the old one.
//!
//! A process that is killed leaves its unfinished file behind. The next one that writes the same file removes it. Whoever
//! still writes one has it locked, so that nobody else removes it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use stepflow_protocol::content_id;
use tempfile::NamedTempFile;

use crate::exit::{Failure, reason};

/// How the name of an unfinished file begins and ends.
const UNFINISHED: (&str, &str) = (".stepflow-", ".partial");

/// How many characters of the hash of a file's name are in the name of its unfinished file.
const HASH: usize = 16;

/// A file that is being written.
pub struct OutputFile {
    what: &'static str,
    name: String,
    to: Destination,
}

enum Destination {
    /// A new file in the same folder, which will get this name.
    Temporary(NamedTempFile, PathBuf),
    /// A file that cannot be replaced: a pipe, a terminal, a device, or one that is open already.
    Direct(File),
}

impl OutputFile {
    /// Opens a file that the command line names. An existing file stays until [`OutputFile::finish`]. Messages call the
    /// file `what`.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open(what: &'static str, path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let to = open(path).map_err(|error| unopenable(what, &name, &error))?;
        Ok(Self { what, name, to })
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// When it cannot be written; an existing file then stays.
    pub fn write_whole(what: &'static str, path: &Path, text: &[u8]) -> Result<(), Failure> {
        let mut file = Self::open(what, path)?;
        file.append(text)?;
        file.finish()
    }

    /// Appends a text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&mut self, text: &[u8]) -> Result<(), Failure> {
        let file = match &mut self.to {
            Destination::Temporary(file, _) => file.as_file_mut(),
            Destination::Direct(file) => file,
        };
        file.write_all(text).map_err(|error| unwritable(self.what, &self.name, &error))
    }

    /// Gives the file its name, which replaces an existing file.
    ///
    /// # Errors
    /// When that fails. The temporary file then stays, and the error says where it is.
    pub fn finish(self) -> Result<(), Failure> {
        let Destination::Temporary(file, path) = self.to else { return Ok(()) };
        file.as_file().sync_all().map_err(|error| unwritable(self.what, &self.name, &error))?;
        let Err(failed) = file.persist(&path) else { return Ok(()) };
        // A file that is a mount point cannot be replaced, but its content can.
        if fs::copy(failed.file.path(), &path).is_ok() {
            return Ok(());
        }
        let failure = unwritable(self.what, &self.name, &failed.error);
        let Ok((_, unfinished)) = failed.file.keep() else { return Err(failure) };
        // Under its old name the next process would remove it.
        let kept = unfinished.with_extension("kept");
        let kept = if fs::rename(&unfinished, &kept).is_ok() { kept } else { unfinished };
        Err(failure.hint(format!("what was written is in `{}`", kept.display())))
    }
}

/// The file that is open already when the path is one like `/dev/stdout`. It may be a regular file that other
/// processes write to as well.
#[cfg(unix)]
fn already_open(path: &Path) -> Option<io::Result<File>> {
    use std::os::fd::AsFd as _;

    let folder = path.parent()?;
    let name = path.file_name()?.to_str()?;
    let of_descriptors = folder == Path::new("/dev/fd") || (folder.starts_with("/proc") && folder.ends_with("fd"));
    let descriptor = match name {
        "stdout" if folder == Path::new("/dev") => io::stdout().as_fd().try_clone_to_owned(),
        "stderr" if folder == Path::new("/dev") => io::stderr().as_fd().try_clone_to_owned(),
        "1" if of_descriptors => io::stdout().as_fd().try_clone_to_owned(),
        "2" if of_descriptors => io::stderr().as_fd().try_clone_to_owned(),
        _ if of_descriptors => return Some(File::options().append(true).open(path)),
        _ => return None,
    };
    Some(descriptor.map(File::from))
}

#[cfg(not(unix))]
fn already_open(_: &Path) -> Option<io::Result<File>> {
    None
}

fn open(path: &Path) -> io::Result<Destination> {
    if let Some(already_open) = already_open(path) {
        return already_open.map(Destination::Direct);
    }
    let existing = match fs::metadata(path) {
        Ok(existing) => Some(existing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if existing.as_ref().is_some_and(|existing| !existing.is_file()) {
        return File::options().write(true).open(path).map(Destination::Direct);
    }
    // The target of a symbolic link is replaced, and not the link.
    let path = if existing.is_some() { path.canonicalize()? } else { path.to_owned() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = unfinished_prefix(&path);
    remove_unfinished(folder, &prefix);
    let file = unfinished(folder, &prefix)?;
    if let Some(existing) = existing {
        // A file that we may not write must not be replaced either.
        File::options().append(true).open(&path)?;
        file.as_file().set_permissions(existing.permissions())?;
    }
    Ok(Destination::Temporary(file, path))
}

/// How the names of the unfinished files of this file begin. It has a hash instead of the name, because the name may be
/// as long as the file system allows.
fn unfinished_prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let hash = content_id(name).to_string();
    format!("{}{}-", UNFINISHED.0, hash.get(..HASH).unwrap_or(&hash))
}

/// A new unfinished file that is locked, where the file system has locks.
fn unfinished(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    let mut new = tempfile::Builder::new();
    new.prefix(prefix).suffix(UNFINISHED.1);
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // the umask applies as usual
    loop {
        let file = new.tempfile_in(folder)?;
        match file.as_file().try_lock() {
            // Another process may have removed it before it was locked.
            Ok(()) if file.path().exists() => return Ok(file),
            Err(TryLockError::Error(_)) => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
        }
    }
}

/// Removes unfinished files that nobody writes any more. What cannot be removed stays, because it harms nobody.
fn remove_unfinished(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(UNFINISHED.1)) {
            continue;
        }
        // A lock is refused while a process has the file.
        let left = File::open(entry.path()).is_ok_and(|file| {
            // The file stays locked until it is removed.
            file.try_lock().is_ok() && fs::remove_file(entry.path()).is_ok()
        });
        if left {
            tracing::debug!("removed `{}`, which an earlier process has left", entry.path().display());
        }
    }
}

/// The failure when a file cannot be opened. A path that cannot be used is a mistake in the command line. That a disk is
/// full is none.
fn unopenable(what: &str, name: &str, error: &io::Error) -> Failure {
    use io::ErrorKind::{NotADirectory, NotFound, QuotaExceeded, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded => unwritable(what, name, error),
        kind => {
            let failure = Failure::usage(message(what, name, error));
            match kind {
                NotFound | NotADirectory => failure.hint("its folder does not exist: create it, or give another path"),
                _ => failure,
            }
        }
    }
}

/// The failure when a file that is open cannot be written: the command line is not the reason.
fn unwritable(what: &str, name: &str, error: &io::Error) -> Failure {
    Failure::outside(message(what, name, error))
}

fn message(what: &str, name: &str, error: &io::Error) -> String {
    format!("cannot write the {what} `{name}`: {}", reason(error))
}
