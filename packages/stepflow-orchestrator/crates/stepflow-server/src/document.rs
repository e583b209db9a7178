//! Documents that the command line names, and stdout: read and written with an error that says what to do.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use stepflow_flow::source::Format;
use stepflow_flow::{Source, suggest};

use crate::exit::{Exit, Failure, reason};

/// The name of stdin on a command line.
const STDIN: &str = "-";

/// A second reader would find it empty, and take that for what it was to read.
static STDIN_IS_READ: AtomicBool = AtomicBool::new(false);

/// Reads a document. `what` names it in the error: `flow`, `input`, `configuration`.
///
/// # Errors
/// When the file cannot be read.
pub fn read(what: &str, path: &Path) -> Result<Source, Failure> {
    if is_stdin(path) {
        if STDIN_IS_READ.swap(true, Ordering::Relaxed) {
            return Err(Failure::usage(format!("stdin has been read already, so it cannot be the {what} as well"))
                .hint("`-` can stand for one file only"));
        }
        let mut text = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read the {what} from stdin: {error}")))?;
        return Ok(Source::yaml("stdin", text));
    }
    let text = fs::read(path).map_err(|error| unreadable(what, path, &error))?;
    Ok(Source::new(path.display().to_string(), text, Format::of_path(path)))
}

/// Whether a path on the command line stands for stdin.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// A text without the mark that some editors put before it.
pub fn after_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The document that one of three options gives: `FILE`, JSON or YAML, the latter two each with the option's name.
/// With it the exit code for a text that cannot be read: what is written on the command line is a wrong command line.
///
/// # Errors
/// When the file cannot be read.
pub fn of_options(
    what: &str,
    file: Option<&Path>,
    json: (&str, Option<&str>),
    yaml: (&str, Option<&str>),
) -> Result<Option<(Source, Exit)>, Failure> {
    Ok(match (file, json, yaml) {
        (Some(path), ..) => Some((read(what, path)?, Exit::Failed)),
        (None, (option, Some(text)), _) => Some((Source::json(option, text), Exit::Usage)),
        (None, _, (option, Some(text))) => Some((Source::yaml(option, text), Exit::Usage)),
        _ => None,
    })
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Failure {
    // A document in the place of its path may hold what nobody else is to see.
    if path.to_str().is_some_and(|text| text.trim_start().starts_with(['{', '[', '"'])) {
        return Failure::usage(format!("cannot read the {what}: a document stands where its path belongs"))
            .hint("the option whose name ends with `-json` takes the document itself");
    }
    let failure = Failure::usage(format!("cannot read the {what} `{}`: {}", path.display(), reason(error)));
    match (error.kind(), nearest_file(path)) {
        (io::ErrorKind::NotFound, Some(near)) => failure.hint(format!("did you mean `{near}`?")),
        (io::ErrorKind::NotFound, None) => failure.hint("give the path of a file that is there"),
        (io::ErrorKind::PermissionDenied, _) => {
            failure.hint("make the file readable for you, for example with `chmod u+r`")
        }
        _ => failure.hint("give the path of a file"),
    }
}

/// A file in the same folder with nearly the same name.
fn nearest_file(path: &Path) -> Option<String> {
    let written = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let files: Vec<String> =
        fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let near = suggest::nearest(written, files.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}

/// Writes a text and a line break to stdout.
///
/// # Errors
/// When stdout cannot be written; not when its reader has had enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::outside(format!("cannot write the result to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
