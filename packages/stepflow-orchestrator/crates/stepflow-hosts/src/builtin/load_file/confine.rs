//! Keeps `/load_file` inside the folders that the config allows, and away from the server's own files in them: a flow
//! may come from a stranger.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, open as open_at_root, openat};
use stepflow_protocol::FlowError;

use super::{BuiltinOptions, invalid, unreadable};

/// A folder is opened to look inside, not to list it: that works without the right to read it.
#[cfg(target_os = "linux")]
const LOOK_INSIDE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const LOOK_INSIDE: OFlags = OFlags::RDONLY;

/// Where the system shows its state as files: the server's own memory and variables are among them.
const SYSTEM: [&str; 3] = ["/dev", "/proc", "/sys"];

/// A file that may be read, and its real path.
pub(super) fn open(path: &Path, options: &BuiltinOptions) -> Result<(File, PathBuf), FlowError> {
    let real = real_path(&without_dots(&options.working_dir.join(path)));
    let is_listed = is_listed(&real, options);
    if !is_listed {
        // Checked before the file is opened: whether a forbidden file exists must not be seen either.
        check_place(path, &real, options)?;
    }
    let file = open_without_links(&real).map_err(|error| unreadable(path, &real, &error))?;
    let found = file.metadata().map_err(|error| unreadable(path, &real, &error))?;
    if !found.is_file() {
        // Reading a pipe or a device might never end.
        return Err(invalid(path, "it is not a file"));
    }
    // Compared by inode: the same file may have several names.
    let mut configs = options.config_files.iter().filter_map(|file| options.working_dir.join(file).metadata().ok());
    if !is_listed && configs.any(|config| (config.dev(), config.ino()) == (found.dev(), found.ino())) {
        return Err(invalid(path, &format!("it is the configuration of a server: {}", list("it"))));
    }
    Ok((file, real))
}

/// Whether the config lists the file or a folder above it.
fn is_listed(real: &Path, options: &BuiltinOptions) -> bool {
    let mut listed = options.allow_paths.iter().map(|path| options.working_dir.join(path));
    listed.any(|path| real.starts_with(real_path(&path)))
}

fn check_place(path: &Path, real: &Path, options: &BuiltinOptions) -> Result<(), FlowError> {
    let here = real_path(&options.working_dir);
    let Ok(below) = real.strip_prefix(&here) else {
        let here = options.working_dir.display();
        return Err(invalid(path, &format!("it is outside the working directory `{here}`: {}", list("its folder"))));
    };
    if below.components().any(|name| name.as_os_str().as_encoded_bytes().starts_with(b".")) {
        let why = "what begins with a dot is not read, as settings and secrets lie there";
        return Err(invalid(path, &format!("{why}: {}", list("it"))));
    }
    if SYSTEM.iter().any(|system| real.starts_with(system) && !here.starts_with(system)) {
        return Err(invalid(path, &format!("it belongs to the system: {}", list("it"))));
    }
    Ok(())
}

fn list(what: &str) -> String {
    format!("list {what} in the builtin plugin's `allowPaths`")
}

/// The path with all links followed; what does not exist is kept as it is written.
fn real_path(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    match real {
        Some((real, rest)) if rest.as_os_str().is_empty() => real,
        Some((real, rest)) => real.join(rest),
        None => path.to_owned(),
    }
}

/// Opens a real path folder by folder and follows no link: what is opened is what was checked, even if somebody has
/// replaced a folder since then. Does not wait for the other end of a pipe.
fn open_without_links(real: &Path) -> io::Result<File> {
    let (Some(folder), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut inside = open_at_root("/", flags | LOOK_INSIDE | OFlags::DIRECTORY, Mode::empty())?;
    for part in folder.components().filter(|part| matches!(part, Component::Normal(_))) {
        inside = openat(&inside, part.as_os_str(), flags | LOOK_INSIDE | OFlags::DIRECTORY, Mode::empty())?;
    }
    Ok(openat(&inside, name, flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?.into())
}

/// The path without `.` and `..`, resolved in the text alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    plain
}
