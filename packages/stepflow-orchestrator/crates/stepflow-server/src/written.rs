//! Files that commands write. Each is written beside its place and renamed, so that a reader sees all of it, or
//! what was there before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::exit::{Failure, reason};

/// A file to be.
pub struct Written {
    what: &'static str,
    name: String,
    to: To,
}

enum To {
    /// A new file in the same folder, to be renamed to this.
    Beside(NamedTempFile, PathBuf),
    /// What cannot be replaced: a pipe, a terminal, a device, and whatever is open already.
    Itself(File),
}

impl Written {
    /// Opens a file of the command line. What is there stays until [`Written::keep`]. `what` it is, is for messages.
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
    /// When it cannot be written; what was there then stays.
    pub fn whole(what: &'static str, path: &Path, text: &[u8]) -> Result<(), Failure> {
        let mut file = Self::open(what, path)?;
        file.add(text)?;
        file.keep()
    }

    /// Adds to it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, text: &[u8]) -> Result<(), Failure> {
        let file = match &mut self.to {
            To::Beside(file, _) => file.as_file_mut(),
            To::Itself(file) => file,
        };
        file.write_all(text).map_err(|error| unwritable(self.what, &self.name, &error))
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be put there; what was written then stays beside it, and the error says where.
    pub fn keep(self) -> Result<(), Failure> {
        let To::Beside(file, path) = self.to else { return Ok(()) };
        file.as_file().sync_all().map_err(|error| unwritable(self.what, &self.name, &error))?;
        let Err(failed) = file.persist(&path) else { return Ok(()) };
        // A file that is mounted by itself cannot be replaced, but written.
        if fs::copy(failed.file.path(), &path).is_ok() {
            return Ok(());
        }
        let failure = unwritable(self.what, &self.name, &failed.error);
        Err(match failed.file.keep() {
            Ok((_, beside)) => failure.hint(format!("it is in `{}`", beside.display())),
            Err(_) => failure,
        })
    }
}

/// The open file that a path such as `/dev/stdout` stands for. It may be a regular file, to which others write as well.
#[cfg(unix)]
fn opened(path: &Path) -> Option<io::Result<File>> {
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
fn opened(_: &Path) -> Option<io::Result<File>> {
    None
}

fn open(path: &Path) -> io::Result<To> {
    if let Some(opened) = opened(path) {
        return opened.map(To::Itself);
    }
    let there = match fs::metadata(path) {
        Ok(there) => Some(there),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if there.as_ref().is_some_and(|there| !there.is_file()) {
        return File::options().write(true).open(path).map(To::Itself);
    }
    // The file that a link leads to is replaced, and not the link.
    let path = if there.is_some() { path.canonicalize()? } else { path.to_owned() };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new();
    new.prefix(".stepflow-").suffix(".partial");
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes
    let file = new.tempfile_in(folder)?;
    if let Some(there) = there {
        // One that may not be written may not be replaced.
        File::options().append(true).open(&path)?;
        file.as_file().set_permissions(there.permissions())?;
    }
    Ok(To::Beside(file, path))
}

fn unwritable(what: &str, name: &str, error: &io::Error) -> Failure {
    let failure = Failure::usage(format!("cannot write the {what} `{name}`: {}", reason(error)));
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            failure.hint("its folder is not there: make it, or name another place")
        }
        _ => failure,
    }
}
