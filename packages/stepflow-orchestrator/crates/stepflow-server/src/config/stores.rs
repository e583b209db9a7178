//! Where a server keeps its runs: `stateStore`, or `storageConfig` as earlier releases write it.

use std::path::{Path as FilePath, PathBuf};

use stepflow_flow::{Code, Diagnostic, Diagnostics, Node, Path};
use stepflow_store::sqlite::{self, Durability, Retention};

use super::origins::Origins;
use super::passwords;
use super::section::Section;
use crate::wording::name_list;

/// The database of a server whose configuration names none, in the folder of the configuration.
const USUAL_DATABASE: &str = ".stepflow/state.db";

/// The most connections that read. Published files have more: they were for a server of databases.
const MOST_READERS: usize = 64;

/// Where a server keeps its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateStore {
    /// In memory: they are gone when the process ends.
    InMemory(stepflow_store::Options),
    /// In a file.
    Sqlite(sqlite::Options),
}

impl Default for StateStore {
    fn default() -> Self {
        Self::Sqlite(sqlite::Options::new(USUAL_DATABASE))
    }
}

impl StateStore {
    /// Relative paths begin in this folder.
    #[must_use]
    pub fn in_folder(self, folder: &FilePath) -> Self {
        match self {
            Self::Sqlite(options) => Self::Sqlite(sqlite::Options {
                path: folder.join(&options.path),
                blobs: options.blobs.map(|blobs| folder.join(blobs)),
                ..options
            }),
            in_memory @ Self::InMemory(_) => in_memory,
        }
    }
}

/// What a file says of its stores.
#[derive(Debug, Default)]
pub struct Stores {
    /// Where runs are kept.
    pub state: StateStore,
    /// What is wrong.
    pub mistakes: Diagnostics,
    /// What is right, and this release does not have it.
    pub not_built: Diagnostics,
}

/// A part of the file that names a store, and its path there.
type Part<'n> = (Section<'n>, Path);

/// Reads the stores. Messages do not repeat values that come from the variables in `origins`.
pub fn read(root: Section<'_>, origins: &Origins) -> Stores {
    let mut stores = Stores::default();
    let part = |name: &str| Some((root.section(name)?, Path::root().field(name)));
    let state = part("stateStore").and_then(|part| stores.store(&part, origins));
    let ours = root.get("stateStore").is_some() || root.get("blobStore").is_some();
    let (mut published, mut published_blobs) = (None, None);
    if let Some(parts) = part("storageConfig") {
        published = stores.published(&parts, origins);
        let blobs = || Some((parts.0.section("blobs")?, parts.1.clone().field("blobs")));
        published_blobs = if parts.0.kind.is_none() { blobs() } else { None };
        if ours {
            let message = "`storageConfig` is the spelling of `stateStore` and `blobStore` in earlier releases, and \
                           cannot be used together with them";
            stores.wrong(&parts, message.to_owned());
        }
    }
    stores.state = state.or(published).unwrap_or_default();
    for blobs in [part("blobStore"), published_blobs].into_iter().flatten() {
        stores.blobs(&blobs, origins);
    }
    if let Some(retention) = part("retention") {
        stores.retention(&retention);
    }
    stores
}

impl Stores {
    /// `storageConfig`: one store for everything, or one for each kind of data.
    fn published(&mut self, parts: &Part<'_>, origins: &Origins) -> Option<StateStore> {
        if parts.0.kind.is_some() {
            return self.store(parts, origins);
        }
        let part = |name: &str| Some((parts.0.section(name)?, parts.1.clone().field(name)));
        let metadata = part("metadata").and_then(|part| self.store(&part, origins));
        if let Some(journal) = part("journal") {
            let store = self.store(&journal, origins);
            if store.is_some() && store != metadata {
                self.not_built(&journal, "`journal` in another store than `metadata`");
            }
        }
        metadata
    }

    /// A store of runs, unless it is wrong or of a type that is not built.
    fn store(&mut self, part: &Part<'_>, origins: &Origins) -> Option<StateStore> {
        match part.0.kind? {
            "inMemory" => {
                let default = stepflow_store::Options::default();
                let keep_finished = part.0.number("keepFinished").unwrap_or(default.keep_finished);
                Some(StateStore::InMemory(stepflow_store::Options { keep_finished }))
            }
            "sqlite" => self.sqlite(part, origins),
            "filesystem" => self.wrong(part, "a store of the type `filesystem` keeps blobs, not runs".to_owned()),
            _ => None,
        }
    }

    /// The store of long values, which goes with the one of runs.
    fn blobs(&mut self, part: &Part<'_>, origins: &Origins) {
        match (part.0.kind, &self.state) {
            (Some("filesystem"), _) => {
                let inline_below = part.0.bytes("inlineBelow");
                let folder = match (part.0.text("path"), part.0.text("directory")) {
                    (Some(_), Some(_)) => {
                        let message = "`directory` is the spelling of `path` in earlier releases: use one of them";
                        self.wrong(part, message.to_owned());
                        return;
                    }
                    (path, directory) => path.or(directory),
                };
                if folder.as_deref() == Some("") {
                    self.wrong(part, "the path of the folder is empty".to_owned());
                    return;
                }
                let StateStore::Sqlite(options) = &mut self.state else {
                    return self.not_built(part, "a folder for blobs beside runs in memory");
                };
                options.blobs = folder.map(PathBuf::from);
                options.inline_below = inline_below.unwrap_or(options.inline_below);
            }
            (Some("inMemory"), StateStore::Sqlite(_)) => self.not_built(part, "blobs in memory beside runs in a file"),
            (Some("sqlite"), _) => {
                let store = self.store(part, origins);
                if store.is_some_and(|store| store != self.state) {
                    self.not_built(part, "`blobs` in another database than `metadata`");
                }
            }
            _ => {}
        }
    }

    /// How long runs are kept that have ended.
    fn retention(&mut self, part: &Part<'_>) {
        let retention = Retention { runs: part.0.time("runs"), keep_failed: part.0.time("keepFailed") };
        match &mut self.state {
            StateStore::Sqlite(options) => options.retention = retention,
            StateStore::InMemory(_) => {
                let message = "`retention` is for runs in a file, and these are in memory: there, `keepFinished` says \
                               how many finished runs are kept";
                self.wrong(part, message.to_owned());
            }
        }
    }

    fn sqlite(&mut self, part: &Part<'_>, origins: &Origins) -> Option<StateStore> {
        let (section, path) = part;
        let usual = sqlite::Options::new(USUAL_DATABASE);
        let options = sqlite::Options {
            durability: match section.text("durability").as_deref() {
                Some("relaxed") => Durability::Relaxed,
                _ => Durability::Full,
            },
            readers: section.number("maxConnections").unwrap_or(usual.readers).min(MOST_READERS),
            migrate: section.flag("autoMigrate").unwrap_or(usual.migrate),
            ..usual
        };
        let file = match (section.text("path"), section.text("databaseUrl")) {
            (Some(_), Some(_)) => {
                return self.wrong(part, "a store has a `path` or a `databaseUrl`, not both".to_owned());
            }
            (Some(file), None) => PathBuf::from(file),
            (None, Some(url)) => match database(&url) {
                Ok(Database::File(file)) => file,
                Ok(Database::Memory) => return Some(StateStore::InMemory(stepflow_store::Options::default())),
                Err(problem) => {
                    let node = section.get("databaseUrl").unwrap_or(section.node);
                    let shown = origins.describe(node.span).map(|origin| format!("the value {origin}"));
                    let shown = shown.unwrap_or_else(|| format!("`{}`", without_passwords(&url)));
                    let path = path.clone().field("databaseUrl");
                    return self.mistake(node, &path, format!("{shown} is not the address of a database: {problem}"));
                }
            },
            (None, None) => return Some(StateStore::Sqlite(options)),
        };
        if file.as_os_str().is_empty() {
            return self.wrong(part, "the path of the database is empty".to_owned());
        }
        Some(StateStore::Sqlite(sqlite::Options { path: file, ..options }))
    }

    fn wrong(&mut self, (section, path): &Part<'_>, message: String) -> Option<StateStore> {
        self.mistake(section.node, path, message)
    }

    fn mistake(&mut self, node: &Node, path: &Path, message: String) -> Option<StateStore> {
        self.mistakes.push(Diagnostic::new(Code::InvalidType, path, message).at(Some(node.span)));
        None
    }

    fn not_built(&mut self, (section, path): &Part<'_>, what: &str) {
        let diagnostic = Diagnostic::new(Code::NotBuilt, path, format!("{what} is not built yet"));
        self.not_built.push(diagnostic.at(Some(section.node.span)));
    }
}

fn without_passwords(address: &str) -> String {
    String::from_utf8_lossy(&passwords::hidden(address.as_bytes())).into_owned()
}

/// Where the address of a database leads.
#[derive(Debug, PartialEq)]
enum Database {
    File(PathBuf),
    Memory,
}

/// Reads `sqlite:PATH`, with what earlier releases allow after a `?`.
fn database(url: &str) -> Result<Database, String> {
    let rest = url.strip_prefix("sqlite:").ok_or("it begins with `sqlite:`, as in `sqlite:state.db`")?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let mut in_memory = file == ":memory:";
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=').unwrap_or((parameter, "")) {
            ("mode", "rw" | "rwc") | ("cache", "private" | "shared") => {}
            ("mode", "memory") => in_memory = true,
            ("mode", "ro") => return Err("a server writes into its database, and this one is read-only".to_owned()),
            (name, _) => {
                let known = name_list(["mode=rw", "mode=rwc", "mode=memory", "cache=private", "cache=shared"]);
                return Err(format!("`{name}` is not known here with this value; known are {known}"));
            }
        }
    }
    match file {
        _ if in_memory => Ok(Database::Memory),
        "" => Err("it names no file".to_owned()),
        file => Ok(Database::File(PathBuf::from(file))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stepflow_flow::Source;

    use super::*;
    use crate::config::read;

    #[test]
    fn addresses_of_earlier_releases_lead_to_their_files() {
        let file = |file: &str| Ok(Database::File(PathBuf::from(file)));
        for (url, expected) in [
            ("sqlite:state.db", file("state.db")),
            ("sqlite:state.db?mode=rwc", file("state.db")),
            ("sqlite://a/b.db?mode=rw&cache=shared", file("a/b.db")),
            ("sqlite:///var/b.db", file("/var/b.db")),
            ("sqlite::memory:", Ok(Database::Memory)),
            ("sqlite://:memory:", Ok(Database::Memory)),
            ("sqlite:any?mode=memory", Ok(Database::Memory)),
        ] {
            assert_eq!(database(url), expected, "{url}");
        }
        for url in ["state.db", "postgres://a/b", "sqlite:", "sqlite:a?mode=ro", "sqlite:a?immutable=1"] {
            assert!(database(url).is_err(), "{url}");
        }
    }

    #[test]
    fn runs_are_kept_beside_the_file_unless_it_says_otherwise() {
        let folder = std::env::temp_dir();
        let parse = |text: &str| read(Source::yaml("stepflow-config.yml", text), folder.clone());
        let sqlite = |path: &str| sqlite::Options::new(folder.join(path));
        for (text, expected) in [
            ("", StateStore::Sqlite(sqlite(".stepflow/state.db"))),
            ("stateStore: {type: sqlite}", StateStore::Sqlite(sqlite(".stepflow/state.db"))),
            ("stateStore: {type: sqlite, path: a/b.db}", StateStore::Sqlite(sqlite("a/b.db"))),
            ("stateStore: {type: sqlite, databaseUrl: 'sqlite:b.db?mode=rwc'}", StateStore::Sqlite(sqlite("b.db"))),
            (
                "stateStore: {type: sqlite, path: /x.db, durability: relaxed, maxConnections: 4, autoMigrate: false}",
                StateStore::Sqlite(sqlite::Options {
                    durability: sqlite::Durability::Relaxed,
                    readers: 4,
                    migrate: false,
                    ..sqlite::Options::new("/x.db")
                }),
            ),
            ("stateStore: {type: sqlite, databaseUrl: 'sqlite::memory:'}", StateStore::InMemory(Default::default())),
            (
                "stateStore: {type: sqlite, maxConnections: 100}",
                StateStore::Sqlite(sqlite::Options { readers: 64, ..sqlite(".stepflow/state.db") }),
            ),
            ("storageConfig: {type: sqlite, path: c.db}", StateStore::Sqlite(sqlite("c.db"))),
            (
                "storageConfig: {metadata: {type: sqlite, path: d}, journal: {type: sqlite, path: d}}",
                StateStore::Sqlite(sqlite("d")),
            ),
            (
                "blobStore: {type: filesystem, path: long, inlineBelow: 2KiB}",
                StateStore::Sqlite(sqlite::Options {
                    blobs: Some(folder.join("long")),
                    inline_below: 2 << 10,
                    ..sqlite(".stepflow/state.db")
                }),
            ),
            (
                "storageConfig: {metadata: {type: sqlite, path: d}, blobs: {type: filesystem, directory: e}}",
                StateStore::Sqlite(sqlite::Options { blobs: Some(folder.join("e")), ..sqlite("d") }),
            ),
            (
                "retention: {runs: 30d, keepFailed: 90d}",
                StateStore::Sqlite(sqlite::Options {
                    retention: Retention {
                        runs: Some(Duration::from_secs(30 * 86_400)),
                        keep_failed: Some(Duration::from_secs(90 * 86_400)),
                    },
                    ..sqlite(".stepflow/state.db")
                }),
            ),
            ("storageConfig: {metadata: {type: inMemory}}", StateStore::InMemory(Default::default())),
        ] {
            let config = parse(text).unwrap();
            assert_eq!(config.state, expected, "{text}");
            assert!(config.refuse_what_is_not_built().is_ok(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_places() {
        for (text, words) in [
            ("stateStore: {type: sqlite, path: a, databaseUrl: 'sqlite:a'}", "a `path` or a `databaseUrl`, not both"),
            ("blobStore: {type: filesystem, path: a, directory: b}", "use one of them"),
            ("blobStore: {type: filesystem, path: ''}", "the path of the folder is empty"),
            ("blobStore: {type: filesystem, directory: ''}", "the path of the folder is empty"),
            ("stateStore: {type: sqlite, path: ''}", "the path of the database is empty"),
            (
                "stateStore: {type: sqlite, databaseUrl: 'a.db'}",
                "`a.db` is not the address of a database: it begins with",
            ),
            (
                "stateStore: {type: sqlite, databaseUrl: 'postgres://user:secret@h/x'}",
                "`postgres://***********@h/x` is not the address of a database",
            ),
            ("stateStore: {type: inMemory}\nretention: {runs: 1d}", "there, `keepFinished` says how many"),
            ("stateStore: {type: inMemory}\nstorageConfig: {type: inMemory}", "cannot be used together with them"),
        ] {
            let said = format!("{:?}", read(Source::yaml("c.yml", text), std::env::temp_dir()).unwrap_err());
            assert!(said.contains(words) && said.contains("c.yml:"), "{text}: {said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
