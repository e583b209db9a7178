//! Whether a database is as it should be: what is in it is read, folded and compared.

mod tree;

use std::fmt;

use rusqlite::types::ValueRef as Sql;
use rusqlite::{Connection, Row};
use stepflow_flow::{Plan, Source, load};
use stepflow_protocol::{BlobId, FlowId, Value, content_id};

use super::codec::run;
use super::file;
use super::file_mark;
use super::files::{Files, content, is_content};
use super::lock::{self, Lock};
use super::options::{Error, Options};

/// How many findings are told at most.
const MOST: usize = 1_000;

/// Something in a database that should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is: a run, a content, a flow, the file.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Reads the whole database and tells what is wrong in it, the first thousand of that. No server may have it. Nothing in
/// it is changed.
///
/// # Errors
///
/// When another process has it, or it cannot be opened.
pub fn check(options: &Options) -> Result<Vec<Finding>, Error> {
    let options = &lock::followed(options)?;
    file::is_there(&options.path)?;
    let _lock = Lock::take(&options.path)?;
    file_mark::checked(&options.path)?;
    findings(options)
}

/// What is wrong in a database that nobody changes.
pub(super) fn findings(options: &Options) -> Result<Vec<Finding>, Error> {
    let path = &options.path;
    let connection = file::open_at_rest(path).map_err(|error| Error::of(path, &error))?;
    let version = file::known_version(&connection, path)?;
    let id = file::id(&connection, path);
    let folder = id.as_ref().map_or_else(|_| options.blobs(), |id| options.blobs().join(id));
    let files = Files::new(folder, options.inline_below);
    let mut check = Check { connection: &connection, files: &files, findings: Vec::new() };
    match version {
        0 => check.find(&FILE, &"it is empty"),
        file::SCHEMA => {
            if let Err(error) = id {
                check.find(&FILE, &error);
            }
            check.all();
        }
        // Its tables are others. The server changes them.
        _ => check.part(FILE, Check::pages),
    }
    Ok(check.findings)
}

/// The place of what concerns no row.
const FILE: &str = "the file";

struct Check<'a> {
    connection: &'a Connection,
    files: &'a Files,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn find(&mut self, place: &dyn fmt::Display, problem: &dyn fmt::Display) {
        if self.findings.len() < MOST {
            self.findings.push(Finding { place: place.to_string(), problem: problem.to_string() });
        }
    }

    fn all(&mut self) {
        self.part(FILE, Self::pages);
        self.strays();
        self.part("table `flows`", Self::flows);
        self.part("table `blobs`", Self::blobs);
        self.part("table `vals`", |check| check.texts("vals", "body"));
        self.part("table `run_items`", |check| check.texts("run_items", "input"));
        self.part("table `runs`", |check| {
            let sql = "SELECT no, id FROM runs WHERE root_no = no";
            let roots = check.rows("table `runs`", sql, [], |row| Ok((row.get(0)?, run(row.get(1)?))))?;
            for (no, root) in roots {
                check.part(&format!("run {root}"), |check| check.tree(no, root));
            }
            Ok(())
        });
    }

    /// A part that cannot be read is a finding, and the others are checked.
    fn part(&mut self, place: &str, check: impl FnOnce(&mut Self) -> rusqlite::Result<()>) {
        if let Err(error) = check(self) {
            self.find(&place, &error);
        }
    }

    /// The rows of a query. Those that cannot be read are findings.
    fn rows<T>(
        &mut self,
        place: &str,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let connection = self.connection;
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            match read(row) {
                Ok(row) => all.push(row),
                Err(error) => self.find(&place, &error),
            }
        }
        Ok(all)
    }

    /// What SQLite finds.
    fn pages(&mut self) -> rusqlite::Result<()> {
        let found: Vec<String> = self.rows(FILE, "PRAGMA integrity_check", [], |row| row.get(0))?;
        found.iter().filter(|found| *found != "ok").for_each(|found| self.find(&FILE, found));
        Ok(())
    }

    /// Rows of runs that are not there.
    fn strays(&mut self) {
        const ROOTS: &str = "(SELECT no FROM runs WHERE root_no = no UNION ALL SELECT root_no FROM deleted)";
        const RUNS: &str =
            "(SELECT no FROM runs UNION ALL SELECT root_no FROM deleted UNION ALL SELECT no FROM stages)";
        let tables = [
            ("runs", "root_no", ROOTS),
            ("journal", "k >> 32", ROOTS),
            ("vals", "k >> 32", ROOTS),
            ("had", "root_no", ROOTS),
            ("run_items", "k >> 32", RUNS),
            ("item_ends", "k >> 32", RUNS),
            ("steps", "run_no", RUNS),
            ("timers", "root", "(SELECT id FROM runs WHERE root_no = no)"),
            ("runs", "flow", "(SELECT id FROM flows)"),
        ];
        for (table, column, there) in tables {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} NOT IN {there}");
            let what = if column == "flow" { "flow" } else { "run" };
            match self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
                Ok(0) => {}
                Ok(strays) => {
                    let problem = format!("{strays} rows are of a {what} that is not there");
                    self.find(&format!("table `{table}`"), &problem);
                }
                Err(error) => self.find(&format!("table `{table}`"), &error),
            }
        }
    }

    fn flows(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT id, body FROM flows";
        let flows =
            self.rows("table `flows`", sql, [], |row| Ok((FlowId::from_bytes(row.get(0)?), bytes_of(row, 1)?)))?;
        for (id, body) in flows {
            let place = format!("flow {id}");
            let body = body.unwrap_or_default();
            if content_id(&body) != id {
                self.find(&place, &"its text is another one");
            }
            let flow = String::from_utf8(body).ok().and_then(|body| load(Source::json(place.clone(), body)).flow);
            if flow.and_then(|flow| Plan::compile(flow).ok()).is_none() {
                self.find(&place, &"it cannot be run");
            }
        }
        Ok(())
    }

    fn blobs(&mut self) -> rusqlite::Result<()> {
        let ids = self.rows("table `blobs`", "SELECT id FROM blobs", [], |row| row.get(0).map(BlobId::from_bytes))?;
        for id in ids {
            let place = format!("blob {id}");
            self.part(&place, |check| check.blob(&place, id));
        }
        Ok(())
    }

    fn blob(&mut self, place: &str, id: BlobId) -> rusqlite::Result<()> {
        let sql = "SELECT inline, file, size FROM blobs WHERE id = ?1";
        let read = |row: &Row<'_>| Ok((bytes_of(row, 0)?, bytes_of(row, 1)?, row.get::<_, i64>(2)?));
        let (text, file, size) = self.connection.query_row(sql, [id.bytes()], read)?;
        if let Some(text) = self.text(place, text, file) {
            if content_id(&text) != id {
                self.find(&place, &"its content is another one");
            }
            if i64::try_from(text.len()) != Ok(size) {
                self.find(&place, &format!("its size is {}, not {size}", text.len()));
            }
        }
        Ok(())
    }

    /// The values of a table.
    fn texts(&mut self, table: &str, column: &str) -> rusqlite::Result<()> {
        let mut after = i64::MIN;
        let whole = format!("table `{table}`");
        let sql = format!("SELECT k, {column}, file FROM {table} WHERE k > ?1 ORDER BY k LIMIT 64");
        loop {
            let page = self
                .rows(&whole, &sql, [after], |row| Ok((row.get::<_, i64>(0)?, bytes_of(row, 1)?, bytes_of(row, 2)?)))?;
            let Some((last, ..)) = page.last() else { return Ok(()) };
            after = *last;
            for (k, text, file) in page {
                let place = format!("row {k} of {whole}");
                let Some(text) = self.text(&place, text, file) else { continue };
                if let Err(error) = Value::parse(text) {
                    self.find(&place, &format!("it is no value: {error}"));
                }
            }
        }
    }

    /// The text that two columns lead to; a file has the name of its content.
    fn text(&mut self, place: &str, text: Option<Vec<u8>>, file: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let name = file.map(|name| String::from_utf8_lossy(&name).into_owned());
        match content(self.files, text, name.clone()) {
            Ok(text) => {
                if let Some(name) = name.filter(|name| !is_content(name, &text)) {
                    self.find(&place, &format!("the content of the file `{name}` is another one"));
                }
                Some(text)
            }
            Err(error) => {
                let file = name.map_or_else(String::new, |name| format!(" of the file `{name}`"));
                self.find(&place, &format!("the content{file} is not there: {error}"));
                None
            }
        }
    }
}

/// The bytes of a text, which may be damaged.
fn bytes_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Vec<u8>>> {
    Ok(match row.get_ref(column)? {
        Sql::Null => None,
        Sql::Text(text) | Sql::Blob(text) => Some(text.to_vec()),
        Sql::Integer(_) | Sql::Real(_) => Some(Vec::new()),
    })
}
