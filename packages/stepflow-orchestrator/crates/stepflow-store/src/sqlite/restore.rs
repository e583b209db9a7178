//! Putting a backup in the place of a database.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::backup::copy_moment;
use super::file_mark::{self, Mark};
use super::files::{self, Files};
use super::lock::{self, Lock};
use super::options::{Error, Options, beside};
use super::{check, file};

/// What stands beside a database and belongs to it.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// How the files are called that were there before.
const BEFORE: &str = ".before-";

/// Puts a backup, with its long values, in the place of the database. What was there before gets other names, which are
/// returned. No server may have the database.
///
/// # Errors
///
/// When another process has the database, or the backup is damaged or of a release that is not known, or something
/// cannot be written. Then the database is as it was, or is refused until this is done again.
pub fn restore(options: &Options, from: &Path) -> Result<Vec<PathBuf>, Error> {
    let options = &lock::followed(options)?;
    let backup = &lock::followed(&Options::new(from))?;
    file::is_there(&backup.path)?;
    if is_same(&backup.path, &options.path) {
        return Err(Error::failed("restore", &options.path, &"the backup is this file itself"));
    }
    file_mark::checked(&backup.path)?;
    let faults = check::findings(backup)?;
    if let Some(first) = faults.first() {
        let reason = format!("the backup `{}` has {} faults, such as: {first}", backup.path.display(), faults.len());
        return Err(Error::failed("restore", &options.path, &reason));
    }
    let is_new = !options.path.exists();
    let _lock = Lock::take(&options.path)?;
    let part = beside(&options.path, ".restoring");
    let source = file::open_at_rest(&backup.path).map_err(|error| Error::of(&backup.path, &error))?;
    let id = file::id(&source, &backup.path)?;
    let copies = options.blobs().join(format!("{id}.restoring"));
    let place = Place { options, id: &id, part: &part, copies: &copies };
    let copied = empty(&copies).map_err(Into::into).and_then(|()| {
        let (from, to) = (Files::new(backup.blobs().join(&id), 0), Files::new(copies.clone(), 0));
        copy_moment(&source, &from, &to, &part)?;
        Ok(Mark::Restoring.set(&part)?)
    });
    let restored = copied.and_then(|()| Ok(place.exchange()?));
    restored.map_err(|error: Box<dyn std::error::Error>| {
        let _ = fs::remove_file(&part);
        let _ = empty(&copies);
        if is_new && fs::metadata(&options.path).is_ok_and(|file| file.len() == 0) {
            let _ = fs::remove_file(&options.path);
        }
        Error::failed("restore", &options.path, &error)
    })
}

fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((file(one), file(other)), (Ok(one), Ok(other)) if one == other)
}

/// A copy that is complete, and the place for it.
struct Place<'a> {
    options: &'a Options,
    id: &'a str,
    part: &'a Path,
    copies: &'a Path,
}

impl Place<'_> {
    /// Gives what is there other names, and the copy the database's. Wherever this ends too early, the database is the
    /// one of before, or the copy with a mark that everybody refuses. When it is done again, it goes on there.
    fn exchange(&self) -> io::Result<Vec<PathBuf>> {
        let path = &self.options.path;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_unfinished = Mark::of(path) == Mark::Restoring;
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
        let stamp = is_unfinished.then(|| last_stamp(path, folder)).flatten().unwrap_or_else(|| now.clone());
        let aside = |stamp: &str| beside(path, &format!("{BEFORE}{stamp}"));
        let blobs = self.options.blobs();
        let blobs_aside = |stamp: &str| match &self.options.blobs {
            Some(blobs) => blobs.join(format!("before-{stamp}")),
            None => beside(&aside(stamp), "-blobs"),
        };
        let mut moved = Vec::new();
        let old = file::open_at_rest(path).ok().and_then(|old| file::id(&old, path).ok());
        if !is_unfinished && fs::metadata(path)?.len() > 0 {
            // The name is never free: somebody could begin a new database there.
            fs::hard_link(path, aside(&stamp)).or_else(|_| fs::copy(path, aside(&stamp)).map(drop))?;
            moved.push(aside(&stamp));
        }
        fs::rename(self.part, path)?;
        files::sync(folder)?;
        // Nothing is written over: a name that is taken has what an earlier try or another database had.
        let free =
            |name: &dyn Fn(&str) -> PathBuf| Some(name(&stamp)).filter(|name| !name.exists()).unwrap_or(name(&now));
        for suffix in BESIDE {
            let from = beside(path, suffix);
            if from.exists() {
                let to = free(&|stamp| beside(&aside(stamp), suffix));
                fs::rename(from, &to)?;
                moved.push(to);
            }
        }
        for id in old.iter().map(String::as_str).filter(|old| *old != self.id).chain([self.id]) {
            let from = blobs.join(id);
            if from.is_dir() {
                let to = free(&|stamp| blobs_aside(stamp).join(id));
                let above = to.parent().unwrap_or(&blobs);
                files::make(above)?;
                fs::rename(from, &to)?;
                files::sync(above)?;
                moved.push(above.to_owned());
            }
        }
        moved.dedup();
        if self.copies.exists() {
            fs::rename(self.copies, blobs.join(self.id))?;
            files::sync(&blobs)?;
        }
        files::sync(folder)?;
        Mark::None.set(path)?;
        Ok(moved)
    }
}

/// When the database was given another name that is not complete yet.
fn last_stamp(path: &Path, folder: &Path) -> Option<String> {
    let begin = format!("{}{BEFORE}", path.file_name()?.to_str()?);
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| Some(name.strip_prefix(&begin)?.split('-').next()?.to_owned())).max()
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
