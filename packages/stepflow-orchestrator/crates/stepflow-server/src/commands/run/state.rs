//! `--state`, `--resume` and `--new`: a run that outlives its process, and what a later command does with it.

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use stepflow_engine::Submission;
use stepflow_engine::event::{Event, ValueRef};
use stepflow_engine::ports::{RunFilter, RunRow, StoreError};
use stepflow_protocol::{ExecutionStatus, RunId};
use stepflow_store::sqlite;

use super::same::{same, same_or_none};
use crate::config::StateStore;
use crate::exit::Failure;
use crate::store::Store;
use crate::wording::counted;

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

/// A part of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Flow,
    Variables,
    Overrides,
    Input,
}

impl State {
    /// Opens the folder. It is made when it does not exist, unless a run in it is to go on: then the name is wrong.
    pub fn open(folder: &Path, resume: bool) -> Result<(Self, Store), Failure> {
        let shown = folder.display();
        if folder.exists() && !folder.is_dir() {
            return Err(Failure::usage(format!("`{shown}` is a file, not a folder"))
                .hint("`--state` takes the name of a folder, which is made when it does not exist"));
        }
        if resume && !folder.join(DATABASE).exists() {
            let message = if folder.exists() {
                format!("there are no runs in the folder `{shown}`")
            } else {
                format!("there is no folder `{shown}`")
            };
            return Err(Failure::usage(message).hint(WITHOUT_RESUME));
        }
        let options = sqlite::Options::new(folder.join(DATABASE));
        let store = Store::open(&StateStore::Sqlite(options)).map_err(|error| Failure::outside(error.to_string()))?;
        let printed = match fs::read_to_string(folder.join(PRINTED)) {
            Ok(printed) => printed.lines().map(str::to_owned).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => HashSet::new(),
            Err(error) => return Err(cannot_use(&folder.join(PRINTED), &error)),
        };
        Ok((Self { folder: folder.to_owned(), printed }, store))
    }

    /// The run of this submission that `--resume` is about: the newest that has not ended or whose results have not been
    /// printed, else the newest that has ended.
    pub async fn to_resume(&self, store: &Store, submission: &Submission) -> Result<RunRow, Failure> {
        if let Some(unfinished) = self.newest(store, submission, |row| self.is_unfinished(row)).await? {
            return Ok(unfinished);
        }
        if let Some(ended) = self.newest(store, submission, |row| row.status != ExecutionStatus::Cancelled).await? {
            return Ok(ended);
        }
        let failure = Failure::usage(format!(
            "`{}` has no run of this flow with this input, these variables and these overrides",
            self.folder.display()
        ));
        let failure = match self.only_near(store, submission).await? {
            Some((row, part)) => failure.hint(near(&row, part, submission)),
            None => failure,
        };
        Err(failure.hint(WITHOUT_RESUME))
    }

    /// Refuses to start what an earlier command has begun: its steps would be paid for again.
    pub async fn refuse_unfinished(&self, store: &Store, submission: &Submission) -> Result<(), Failure> {
        let Some(row) = self.newest(store, submission, |row| self.is_unfinished(row)).await? else { return Ok(()) };
        let (folder, run) = (self.folder.display(), row.run);
        let (what, then) = match row.status {
            ExecutionStatus::Running => ("has not ended", "goes on with it"),
            _ => ("has ended, but nobody has got its results", "prints them"),
        };
        Err(Failure::usage(format!("run `{run}` in `{folder}` is the same as this one, and {what}"))
            .hint(format!("`--resume` {then}; `--new` starts another run")))
    }

    /// The newest of the runs of this submission that are wanted.
    async fn newest(
        &self,
        store: &Store,
        submission: &Submission,
        is_wanted: impl Fn(&RunRow) -> bool,
    ) -> Result<Option<RunRow>, StoreError> {
        let flow_id = Some(submission.plan.flow_id);
        let mut roots = Roots::new(RunFilter { flow_id, ..RunFilter::default() });
        while let Some(row) = roots.next(store).await? {
            if is_wanted(&row) && differences(store, &row, submission, 0).await?.is_empty() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The run that differs from the submission in one part, when there is exactly one, or exactly one that is not
    /// finished: it may be the one that is meant.
    async fn only_near(&self, store: &Store, submission: &Submission) -> Result<Option<(RunRow, Part)>, StoreError> {
        let (mut all, mut unfinished) = (Vec::new(), Vec::new());
        let mut roots = Roots::new(RunFilter::default());
        while let Some(row) = roots.next(store).await? {
            if let [part] = differences(store, &row, submission, 1).await?[..] {
                let list = if self.is_unfinished(&row) { &mut unfinished } else { &mut all };
                list.push((row, part));
            }
        }
        let candidates = if unfinished.is_empty() { all } else { unfinished };
        Ok(<[_; 1]>::try_from(candidates).ok().map(|[only]| only))
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
        if self.printed.contains(&run.to_string()) {
            return Ok(());
        }
        let path = self.folder.join(PRINTED);
        let append = |mut file: File| writeln!(file, "{run}");
        let noted = OpenOptions::new().create(true).append(true).open(&path).and_then(append);
        noted.map_err(|error| cannot_use(&path, &error))
    }
}

/// What to do when there is nothing to go on with.
const WITHOUT_RESUME: &str = "without `--resume` a run is started";

fn cannot_use(path: &Path, error: &std::io::Error) -> Failure {
    Failure::outside(format!("cannot use `{}`: {error}", path.display()))
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flow => "flow",
            Self::Variables => "variables",
            Self::Overrides => "overrides",
            Self::Input => "input",
        })
    }
}

/// Says in which part a run differs.
fn near(row: &RunRow, part: Part, submission: &Submission) -> String {
    let (total, ours) = (row.items.total as usize, submission.inputs.len());
    let items = match part {
        Part::Input if total != ours => format!(": it has {}, and not {ours}", counted(total, "item")),
        _ => String::new(),
    };
    format!("run `{}` there is the same except for its {part}{items}", row.run)
}

/// Runs with no run above them, the newest first, read in pages.
struct Roots {
    filter: RunFilter,
    page: std::vec::IntoIter<RunRow>,
    after: Option<RunId>,
    more: bool,
}

impl Roots {
    fn new(filter: RunFilter) -> Self {
        let filter = RunFilter { roots_only: true, ..filter };
        Self { filter, page: Vec::new().into_iter(), after: None, more: true }
    }

    async fn next(&mut self, store: &Store) -> Result<Option<RunRow>, StoreError> {
        if self.page.len() == 0 && self.more {
            let page = store.queries.runs(self.filter.clone(), self.after, PAGE).await?;
            self.more = page.len() == PAGE;
            self.after = page.last().map(|row| row.run);
            self.page = page.into_iter();
        }
        Ok(self.page.next())
    }
}

/// The parts in which a run differs from the submission. When they are more than `most`, not all of them are looked for:
/// to compare inputs takes long.
async fn differences(
    store: &Store,
    row: &RunRow,
    submission: &Submission,
    most: usize,
) -> Result<Vec<Part>, StoreError> {
    let first = store.journal.read(row.run, 0, 1).await?.records;
    let Some(Event::RunCreated(created)) = first.first().map(|record| &record.event) else {
        return Ok(vec![Part::Flow, Part::Input]);
    };
    let mut differing = Vec::new();
    if row.flow_id != submission.plan.flow_id {
        differing.push(Part::Flow);
    }
    if !same_or_none(created.variables.as_ref(), submission.variables.as_ref()) {
        differing.push(Part::Variables);
    }
    if !same_or_none(created.overrides.as_ref(), submission.overrides.as_ref()) {
        differing.push(Part::Overrides);
    }
    if differing.len() <= most && !has_inputs(store, row, submission).await? {
        differing.push(Part::Input);
    }
    Ok(differing)
}

/// Whether a run has the inputs of the submission.
async fn has_inputs(store: &Store, row: &RunRow, submission: &Submission) -> Result<bool, StoreError> {
    if row.items.total as usize != submission.inputs.len() {
        return Ok(false);
    }
    for (inputs, first) in submission.inputs.chunks(PAGE).zip((0..).step_by(PAGE)) {
        let places = (first..).take(inputs.len()).map(|item| ValueRef::Item(row.run, item)).collect();
        let stored = store.journal.values(row.run, places).await?;
        let are_same = |(stored, input): (&Option<_>, _)| stored.as_ref().is_some_and(|stored| same(stored, input));
        if !stored.iter().zip(inputs).all(are_same) {
            return Ok(false);
        }
    }
    Ok(true)
}
