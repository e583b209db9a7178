//! `test`: runs the cases of flows (in their `test` section) and of conformance files, in this process, in memory.

mod case_document;
mod collect;
mod compare;
mod conformance;
mod expectation;
mod flow_file;
mod junit;
mod report;
mod runner;
mod suite;
mod update;

use std::path::Path;
use std::time::Instant;

use stepflow_flow::visible::quoted;

use crate::cli::TestArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr;
use crate::wording::joined;

use report::{CaseReport, FileReport, Summary};
use suite::{Case, FileContent, Suite};

/// Runs the cases and reports which of them fail.
pub async fn test(args: TestArgs) -> Result<Exit, Failure> {
    let start = Instant::now();
    let files = collect::files(&args.paths)?;
    let mut reports = Vec::new();
    let mut without_cases = 0;
    for file in &files {
        match read(file, &args)? {
            FileContent::Suite(suite) => reports.extend(run(*suite, &args).await?),
            FileContent::Broken(problem) => reports.push(FileReport::broken(file, problem)),
            FileContent::Nothing => without_cases += 1,
        }
        if let Some(report) = reports.last_mut().filter(|report| !report.shown) {
            report.show()?;
        }
    }
    let summary = Summary { without_cases, elapsed: start.elapsed(), ..Summary::of(&reports) };
    if summary.cases() == 0 && summary.broken == 0 {
        return Err(no_cases(&args));
    }
    if let Some(path) = &args.junit {
        junit::write(path, &reports)?;
    }
    summary.show()?;
    Ok(if summary.failed + summary.broken > 0 { Exit::Failed } else { Exit::Success })
}

/// Runs the selected cases of a file; `None` when there are none.
async fn run(mut suite: Suite, args: &TestArgs) -> Result<Option<FileReport>, Failure> {
    let is_selected = |case: &Case| args.case.is_empty() || args.case.contains(&case.name);
    let cases: Vec<&Case> = suite.cases.iter().filter(|case| is_selected(case)).collect();
    if cases.is_empty() {
        return Ok(None);
    }
    suite.config.validate_outputs = true;
    let runner = runner::CaseRunner::new(&suite.config, &cases).await?;
    let mut report = FileReport::new(&suite.file);
    let mut updates = Vec::new();
    for case in cases {
        let start = Instant::now();
        let observed = runner.run(case).await;
        let mut verdict = expectation::verdict(case, &observed);
        if args.update
            && expectation::has_other_output(case, &observed)
            && let Some(update) = update::of(case, &observed)
        {
            updates.push(update);
            verdict = expectation::verdict_of_updated(case, &observed);
        }
        report.cases.push(CaseReport { name: case.title(), line: case.line, verdict, elapsed: start.elapsed() });
    }
    runner.shutdown().await;
    if !updates.is_empty() {
        update::write(&suite.file, updates)?;
    }
    Ok(Some(report))
}

fn no_cases(args: &TestArgs) -> Failure {
    if args.case.is_empty() {
        return Failure::usage("there are no cases in these files")
            .hint("a flow has its cases in `test: {cases: [{name, input, output}]}`");
    }
    let names = args.case.iter().map(|name| quoted(name));
    Failure::usage(format!("no case is called {}", joined(names, " or "))).hint("omit `--case` to run all cases")
}

/// Reads a file with cases.
///
/// # Errors
/// When the file or its configuration cannot be read.
fn read(file: &Path, args: &TestArgs) -> Result<FileContent, Failure> {
    let source = document::read("tests", file)?;
    let tree = match stepflow_flow::read_node(&source) {
        Ok(tree) => tree,
        Err(wrong) => return Ok(FileContent::Broken(wrong.render(&source, stderr::color()))),
    };
    if conformance::is_conformance(&tree) {
        conformance::read(file, &source, &tree, args)
    } else if flow_file::is_flow(&tree) {
        flow_file::read(file, source, args)
    } else {
        Ok(FileContent::Nothing)
    }
}
