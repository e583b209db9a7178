//! Reports the results of cases: one line for a file whose cases pass, and the details of cases that fail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stepflow_flow::visible::one_line;

use super::compare::Difference;
use crate::document;
use crate::exit::Failure;
use crate::stderr::{Paint, shown};
use crate::wording::{counted, joined};

/// The results of the cases of a file.
pub struct FileReport {
    pub file: PathBuf,
    pub cases: Vec<CaseReport>,
    /// Why the file could not be read.
    pub broken: Option<String>,
    pub shown: bool,
}

/// The result of a case.
pub struct CaseReport {
    pub name: String,
    pub line: usize,
    pub verdict: Verdict,
    pub elapsed: Duration,
}

/// Whether a case passed.
pub enum Verdict {
    Passed,
    Failed(Problem),
    /// Its expected output was updated.
    Updated,
}

/// Why a case failed.
pub enum Problem {
    Differences(Vec<Difference>),
    /// It expects nothing. These are the results, with secrets hidden.
    Unexpected(Vec<String>),
    Text(String),
}

/// How many differences of one case are shown.
const SHOWN: usize = 20;

impl Problem {
    /// The lines of the report, without colours.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::Unexpected(found) => {
                let mut lines = vec!["the case has no `output` to compare with; the result is".to_owned()];
                lines.extend(found.iter().map(|value| format!("  {value}")));
                lines
            }
            Self::Differences(differences) => {
                let mut lines: Vec<String> = differences
                    .iter()
                    .take(SHOWN)
                    .flat_map(|one| {
                        [
                            one_line(&one.path).into_owned(),
                            format!("  expected  {}", one.expected),
                            format!("  found     {}", one.found),
                        ]
                    })
                    .collect();
                if differences.len() > SHOWN {
                    lines.push(format!("and {} more", differences.len() - SHOWN));
                }
                lines
            }
        }
    }
}

impl FileReport {
    pub fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), cases: Vec::new(), broken: None, shown: false }
    }

    pub fn broken(file: &Path, problem: String) -> Self {
        Self { broken: Some(problem), ..Self::new(file) }
    }

    /// Writes it to stdout.
    pub fn show(&mut self) -> Result<(), Failure> {
        self.shown = true;
        let file = self.file.display().to_string();
        let file = one_line(&file);
        if let Some(problem) = &self.broken {
            let verdict = Paint::Error.on("cannot be read");
            return document::print(&shown(&format!("{file}: {verdict}\n{}", problem.trim_end())));
        }
        let counts = Summary::of(std::slice::from_ref(self));
        let mut text = format!("{file}: {}", counts.words());
        for case in &self.cases {
            let place = format!("{} ({file}:{})", one_line(&case.name), case.line);
            match &case.verdict {
                Verdict::Passed => {}
                Verdict::Updated => text.push_str(&format!("\n  {} {place}", Paint::Warning.on("updated"))),
                Verdict::Failed(problem) => {
                    text.push_str(&format!("\n  {} {place}", Paint::Error.on("failed")));
                    problem.lines().iter().for_each(|line| text.push_str(&format!("\n    {line}")));
                }
            }
        }
        document::print(&shown(&text))
    }
}

/// How many cases had which result.
#[derive(Debug, Default)]
pub struct Summary {
    pub passed: usize,
    pub failed: usize,
    pub updated: usize,
    /// Files that cannot be read.
    pub broken: usize,
    /// Files that have no cases.
    pub without_cases: usize,
    pub elapsed: Duration,
}

impl Summary {
    pub fn of(reports: &[FileReport]) -> Self {
        let mut summary = Self::default();
        for report in reports {
            summary.broken += usize::from(report.broken.is_some());
            for case in &report.cases {
                match case.verdict {
                    Verdict::Passed => summary.passed += 1,
                    Verdict::Failed(_) => summary.failed += 1,
                    Verdict::Updated => summary.updated += 1,
                }
            }
        }
        summary
    }

    /// How many cases there were.
    pub fn cases(&self) -> usize {
        self.passed + self.failed + self.updated
    }

    fn words(&self) -> String {
        let parts = [
            (self.failed, "failed", Paint::Error),
            (self.passed, "passed", Paint::Success),
            (self.updated, "updated", Paint::Warning),
            (self.broken, "unreadable", Paint::Error),
        ];
        let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
        joined(parts.map(|(count, word, paint)| paint.on(format_args!("{count} {word}"))), ", ")
    }

    /// Writes it to stdout.
    pub fn show(&self) -> Result<(), Failure> {
        let cases = counted(self.cases(), "case");
        let skipped = match self.without_cases {
            0 => String::new(),
            1 => "; 1 file has no cases".to_owned(),
            files => format!("; {files} files have no cases"),
        };
        document::print(&format!("{cases}: {} in {:.2} s{skipped}", self.words(), self.elapsed.as_secs_f64()))
    }
}
