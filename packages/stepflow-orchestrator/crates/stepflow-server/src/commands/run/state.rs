//! `--state` and `--resume`: a run that outlives its process, and the one that goes on.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stepflow_engine::Submission;
use stepflow_engine::event::{Event, ValueRef};
use stepflow_engine::ports::{RunFilter, RunRow, StoreError};
use stepflow_protocol::{ExecutionStatus, RunId};
use stepflow_store::sqlite;

use crate::config::StateStore;
use crate::exit::Failure;
use crate::store::Store;

/// The database in the folder.
const DATABASE: &str = "state.db";

/// The file in the folder with the ids of runs whose results have been printed, one in each line.
const PRINTED: &str = "printed";

/// How many runs, and how many inputs, are compared at a time.
const PAGE: usize = 64;

/// The folder of `--state`.
pub struct State {
    folder: PathBuf,
    printed: HashSet<String>,
}

impl State {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> Result<(Self, Store), Failure> {
        let options = sqlite::Options::new(folder.join(DATABASE));
        let store = Store::open(&StateStore::Sqlite(options)).map_err(|error| Failure::outside(error.to_string()))?;
        let printed = match fs::read_to_string(folder.join(PRINTED)) {
            Ok(printed) => printed.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashSet::new(),
            Err(error) => return Err(cannot_use(&folder.join(PRINTED), &error)),
        };
        Ok((Self { folder: folder.to_owned(), printed }, store))
    }

    /// The newest run of this submission that has not ended, or whose results have not been printed.
    pub async fn unfinished(&self, store: &Store, submission: &Submission) -> Result<RunId, Failure> {
        let flow_id = Some(submission.plan.flow_id);
        let filter = RunFilter { flow_id, roots_only: true, ..RunFilter::default() };
        let mut after = None;
        loop {
            let page = store.queries.runs(filter.clone(), after, PAGE).await?;
            for row in &page {
                if self.is_unfinished(row) && is_of(store, row, submission).await? {
                    return Ok(row.run);
                }
            }
            match page.last().filter(|_| page.len() == PAGE) {
                Some(last) => after = Some(last.run),
                None => break,
            }
        }
        let message = format!(
            "`{}` has no unfinished run of this flow with this input, these variables and these overrides",
            self.folder.display()
        );
        Err(Failure::usage(message).hint("leave `--resume` out to start a run"))
    }

    fn is_unfinished(&self, row: &RunRow) -> bool {
        match row.status {
            ExecutionStatus::Running => true,
            ExecutionStatus::Cancelled | ExecutionStatus::RecoveryFailed => false,
            ExecutionStatus::Completed | ExecutionStatus::Failed => !self.printed.contains(&row.run.to_string()),
        }
    }

    /// Takes note that the results of a run have been printed.
    pub fn printed(&self, run: RunId) -> Result<(), Failure> {
        let path = self.folder.join(PRINTED);
        let append = |mut file: File| writeln!(file, "{run}");
        let noted = OpenOptions::new().create(true).append(true).open(&path).and_then(append);
        noted.map_err(|error| cannot_use(&path, &error))
    }
}

fn cannot_use(path: &Path, error: &std::io::Error) -> Failure {
    Failure::outside(format!("cannot use `{}`: {error}", path.display()))
}

/// Whether a run was made of this submission.
async fn is_of(store: &Store, row: &RunRow, submission: &Submission) -> Result<bool, StoreError> {
    if row.items.total as usize != submission.inputs.len() {
        return Ok(false);
    }
    let first = store.journal.read(row.run, 0, 1).await?.records;
    let Some(Event::RunCreated(created)) = first.first().map(|record| &record.event) else { return Ok(false) };
    if created.variables != submission.variables || created.overrides != submission.overrides {
        return Ok(false);
    }
    for (inputs, first) in submission.inputs.chunks(PAGE).zip((0..).step_by(PAGE)) {
        let places = (first..).take(inputs.len()).map(|item| ValueRef::Item(row.run, item)).collect();
        let stored = store.journal.values(row.run, places).await?;
        if !stored.iter().map(Option::as_ref).eq(inputs.iter().map(Some)) {
            return Ok(false);
        }
    }
    Ok(true)
}
