//! Values that are too long for rows: files of their own, in a folder of this database.
//!
//! A file's name is the hash of its content and an id that is drawn at each write. So nobody takes away, with what is not
//! named any more, what has just been written again. It is durable before a row names it; after a crash there may be
//! files that no row names.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stepflow_engine::ports::StoreError;
use stepflow_protocol::{Value, content_id};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::outage;

/// How old a file is at least that is taken away because no row names it: a row may be on its way.
const ORPHAN: Duration = Duration::from_secs(60 * 60);

/// What a file is called while it is written.
const UNFINISHED: &str = ".part";

#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    /// Values from this size on are files.
    inline_below: usize,
}

/// What has a text.
pub(super) trait Text {
    fn text(&self) -> &str;
}

impl Text for &str {
    fn text(&self) -> &str {
        self
    }
}

impl Text for Value {
    fn text(&self) -> &str {
        self.as_str()
    }
}

/// Where the text of a value stands.
#[derive(Debug)]
pub(super) enum Placed<T> {
    /// In the row.
    Row(T),
    /// In the file of this name.
    File(String),
}

impl<T: Text> Placed<T> {
    /// The two columns of it.
    pub fn columns(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Row(text) => (Some(text.text()), None),
            Self::File(name) => (None, Some(name)),
        }
    }
}

impl Files {
    pub fn new(folder: PathBuf, inline_below: usize) -> Self {
        Self { folder, inline_below }
    }

    pub fn is_long(&self, value: &Value) -> bool {
        value.size() >= self.inline_below
    }

    /// Writes a value into a file, if it is long.
    pub fn place<'a>(&self, value: &'a Value) -> Result<Placed<&'a str>, StoreError> {
        if self.is_long(value) { self.write(value).map(Placed::File) } else { Ok(Placed::Row(value.as_str())) }
    }

    /// Writes a value into a file. When this ends, the file is there after any crash.
    pub fn write(&self, value: &Value) -> Result<String, StoreError> {
        let name = format!("{}-{}", content_id(value.as_bytes()), Uuid::now_v7().simple());
        let path = self.path(&name);
        self.write_to(&path, |file| file.write_all(value.as_bytes()))
            .map_err(|error| outage::of_file(&path, &error))?;
        Ok(name)
    }

    fn write_to(&self, path: &Path, content: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        make(folder)?;
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(UNFINISHED);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            content(&mut file)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            sync(folder)
        };
        write().inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Writes a value into a file, on a thread of its own: the disk may take its time.
    pub fn write_apart(self: std::sync::Arc<Self>, value: Value) -> oneshot::Receiver<Result<String, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let write = move || drop(reply.send(self.write(&value)));
        // Without a thread the answer's other end is gone, and says so.
        let _ = thread::Builder::new().name("sqlite-file".to_owned()).spawn(write);
        answer
    }

    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    /// Copies a file into another folder, unless it is there.
    pub fn copy(&self, name: &str, to: &Self) -> io::Result<()> {
        let path = to.path(name);
        if path.exists() {
            return Ok(());
        }
        to.write_to(&path, |file| io::copy(&mut File::open(self.path(name))?, file).map(drop))
    }

    /// Takes a file away that no row names, and says how many bytes it had. What cannot be taken away now is an orphan.
    pub fn remove(&self, name: &str) -> u64 {
        let path = self.path(name);
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        fs::remove_file(path).map_or(0, |()| bytes)
    }

    /// The names of files in one of 256 parts of the folder, and whether each is old enough to be an orphan.
    pub fn names(&self, part: u8) -> Vec<(String, bool)> {
        let Ok(entries) = fs::read_dir(self.folder.join(format!("{part:02x}"))) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| Some((is_old(&name)?, name))).map(|(is_old, name)| (name, is_old)).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.get(..2).unwrap_or_default()).join(name)
    }
}

/// Whether a file was begun long ago, as its name says; none for one that is not ours.
fn is_old(name: &str) -> Option<bool> {
    let (_, id) = name.strip_suffix(UNFINISHED).unwrap_or(name).split_once('-')?;
    let (seconds, _) = Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(Duration::from_secs(seconds) + ORPHAN <= now)
}

/// Whether a file's name is the one of this content.
pub(super) fn is_content(name: &str, text: &[u8]) -> bool {
    name.starts_with(&content_id(text).to_string())
}

/// Makes a folder, so that it is there after any crash.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent().filter(|above| !above.as_os_str().is_empty()) {
        make(above)?;
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => return sync(above),
        }
    }
    DirBuilder::new().mode(0o700).create(folder)
}

/// Makes what was done in a folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The text of a value, of the two columns that say where it is, for those who use it.
pub(super) fn kept(files: &Files, text: Option<String>, file: Option<String>) -> Result<Vec<u8>, StoreError> {
    let path = file.as_deref().map_or_else(|| files.folder.clone(), |file| files.path(file));
    let name = file.clone();
    let text = content(files, text, file).map_err(|error| match error.kind() {
        // Without the folder, its disk may be one that comes later.
        io::ErrorKind::NotFound if files.folder.is_dir() => {
            StoreError::Damaged(format!("the file `{}` of a large value is not there", path.display()))
        }
        _ => outage::of_file(&path, &error),
    })?;
    // A file that was cut or changed is not taken for what a run had stored.
    match name.is_some_and(|name| !is_content(&name, &text)) {
        true => Err(StoreError::Damaged(format!("the file `{}` has another content than it had", path.display()))),
        false => Ok(text),
    }
}

/// The text of a value, of the two columns that say where it is.
pub(super) fn content(
    files: &Files,
    text: Option<impl Into<Vec<u8>>>,
    file: Option<String>,
) -> std::io::Result<Vec<u8>> {
    match (text, file) {
        (Some(text), _) => Ok(text.into()),
        (None, Some(file)) => files.read(&file),
        (None, None) => Err(std::io::ErrorKind::NotFound.into()),
    }
}
