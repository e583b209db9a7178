//! Documents that the command line names, and stdout: read and written with an error that says what to do.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use stepflow_flow::source::Format;
use stepflow_flow::{Source, suggest};

use crate::exit::{Failure, reason};

/// The name of stdin on a command line.
const STDIN: &str = "-";

/// Reads a document. `what` names it in the error: `flow`, `input`, `configuration`.
///
/// # Errors
/// When the file cannot be read.
pub fn read(what: &str, path: &Path) -> Result<Source, Failure> {
    if path == Path::new(STDIN) {
        let mut text = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut text);
        read.map_err(|error| Failure::usage(format!("cannot read the {what} from stdin: {error}")))?;
        return Ok(Source { name: "stdin".to_owned(), text, format: Format::Yaml });
    }
    let text = fs::read(path).map_err(|error| unreadable(what, path, &error))?;
    Ok(Source { name: path.display().to_string(), text, format: Format::of_path(path) })
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::usage(format!("cannot read the {what} `{}`: {}", path.display(), reason(error)));
    match (error.kind(), nearest_file(path)) {
        (io::ErrorKind::NotFound, Some(near)) => failure.hint(format!("did you mean `{near}`?")),
        (io::ErrorKind::NotFound, None) => failure.hint(format!("give the path of the {what}'s file")),
        (io::ErrorKind::PermissionDenied, _) => {
            failure.hint("make the file readable for you, for example with `chmod u+r`")
        }
        _ => failure.hint(format!("give the path of a file with the {what}")),
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
