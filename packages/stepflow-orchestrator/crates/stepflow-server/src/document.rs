//! Reads the documents that the command line names, and writes to stdout; an error says what the user can do.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use stepflow_flow::source::Format;
use stepflow_flow::{Source, suggest};

use crate::exit::{Exit, Failure, reason};

/// The name of stdin on a command line.
const STDIN: &str = "-";

/// Stdin can be read only once: a second reader would take it for an empty file.
static STDIN_IS_READ: AtomicBool = AtomicBool::new(false);

/// Reads a document. `what` names it in the error: `flow`, `input`, `configuration`.
///
/// # Errors
/// When the file cannot be read.
pub fn read(what: &str, path: &Path) -> Result<Source, Failure> {
    if is_stdin(path) {
        if STDIN_IS_READ.swap(true, Ordering::Relaxed) {
            return Err(Failure::usage(format!("stdin has been read already, so it cannot be the {what} as well"))
                .hint("`-` can be used for one file only"));
        }
        let mut text = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read the {what} from stdin: {error}")))?;
        return Ok(Source::yaml("stdin", text));
    }
    let text = fs::read(path).map_err(|error| unreadable(what, path, &error))?;
    Ok(Source::new(path.display().to_string(), text, Format::of_path(path)))
}

/// Whether a path on the command line means stdin.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// The text without a byte order mark, which some editors write at the beginning of a file.
pub fn without_byte_order_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// The document that one of three options gives: a file, or a text in JSON or YAML. For a text, the name of its option
/// is given too. The exit code is the one for a document that cannot be read: a wrong text on the command line is a
/// mistake of the command line.
///
/// # Errors
/// When the file cannot be read.
pub fn from_options(
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
    // A document that was given instead of a path may contain secrets, so it is not repeated.
    if path.to_str().is_some_and(|text| text.trim_start().starts_with(['{', '[', '"'])) {
        return Failure::usage(format!("cannot read the {what}: expected the path of a file, found a document"))
            .hint("use the option whose name ends with `-json` for the document itself");
    }
    let failure = Failure::usage(format!("cannot read the {what} `{}`: {}", path.display(), reason(error)));
    match (error.kind(), nearest_file(path)) {
        (io::ErrorKind::NotFound, Some(near)) => failure.hint(format!("did you mean `{near}`?")),
        (io::ErrorKind::NotFound, None) => failure.hint("give the path of a file that exists"),
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
/// When stdout cannot be written. It is not an error when the reader of a pipe has closed it.
pub fn print(text: &str) -> Result<(), Failure> {
    print_to_reader(text).map(drop)
}

/// The same; `false` when the reader of a pipe has closed it, so that nobody will read what is written from now on.
///
/// # Errors
/// As [`print`].
pub fn print_to_reader(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n")).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::outside(format!("cannot write the result to stdout: {error}"))),
    }
}
