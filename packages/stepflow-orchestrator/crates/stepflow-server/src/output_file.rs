//! Files that commands write. Each is written under another name in the same folder and then renamed, so that a reader
//! sees either the whole new file or the old one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::{Failure, reason};

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
        let to = open(path).map_err(|error| unwritable(what, &name, &error))?;
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
        Err(match failed.file.keep() {
            Ok((_, temporary)) => failure.hint(format!("what was written is in `{}`", temporary.display())),
            Err(_) => failure,
        })
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
    let mut new = tempfile::Builder::new();
    new.prefix(".stepflow-").suffix(".partial");
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // the umask applies as usual
    let file = new.tempfile_in(folder)?;
    if let Some(existing) = existing {
        // A file that we may not write must not be replaced either.
        File::options().append(true).open(&path)?;
        file.as_file().set_permissions(existing.permissions())?;
    }
    Ok(Destination::Temporary(file, path))
}

fn unwritable(what: &str, name: &str, error: &io::Error) -> Failure {
    let failure = Failure::usage(format!("cannot write the {what} `{name}`: {}", reason(error)));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            failure.hint("its folder does not exist: create it, or give another path")
        }
        _ => failure,
    }
}
