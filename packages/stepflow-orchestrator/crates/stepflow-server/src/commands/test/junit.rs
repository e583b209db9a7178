//! Writes the report in the XML format of JUnit, which continuous integration reads.

use std::path::Path;
use std::time::Duration;

use super::report::{CaseReport, FileReport, Summary, Verdict};
use crate::exit::Failure;
use crate::output_file::OutputFile;
use crate::xml::escaped;

/// Writes the report to a file.
pub fn write(path: &Path, reports: &[FileReport]) -> Result<(), Failure> {
    OutputFile::write_whole("report", path, document(reports).as_bytes())
}

fn document(reports: &[FileReport]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    reports.iter().for_each(|report| xml.push_str(&suite(report)));
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(report: &FileReport) -> String {
    let counts = Summary::of(std::slice::from_ref(report));
    let seconds = report.cases.iter().map(|case| case.elapsed).sum::<Duration>().as_secs_f64();
    let mut xml = format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">\n",
        escaped(&report.file.display().to_string()),
        counts.cases() + counts.broken,
        counts.failed,
        counts.broken,
    );
    if let Some(problem) = &report.broken {
        let text = escaped(problem);
        xml.push_str(&format!(
            "    <testcase name=\"the file\"><error message=\"cannot be read\">{text}</error></testcase>\n"
        ));
    }
    report.cases.iter().for_each(|test| xml.push_str(&case(test)));
    xml.push_str("  </testsuite>\n");
    xml
}

fn case(case: &CaseReport) -> String {
    let inside = match &case.verdict {
        Verdict::Passed | Verdict::Updated => String::new(),
        Verdict::Failed(problem) => {
            let lines = problem.lines();
            let first = escaped(lines.first().map_or("", String::as_str));
            format!("<failure message=\"{first}\">{}</failure>", escaped(&lines.join("\n")))
        }
    };
    let seconds = case.elapsed.as_secs_f64();
    format!(
        "    <testcase name=\"{}\" line=\"{}\" time=\"{seconds:.3}\">{inside}</testcase>\n",
        escaped(&case.name),
        case.line
    )
}
