//! Finds the configuration file: the one that is named, else one in the folder of the flow, else one in the current folder.

use std::env;
use std::path::{Path, PathBuf};

use crate::cli::ComponentArgs;
use crate::exit::{Failure, reason};
use crate::stderr::{Paint, line};

/// The file names that are searched for.
pub const NAMES: [&str; 4] =
    ["stepflow-config.yml", "stepflow-config.yaml", "stepflow_config.yml", "stepflow_config.yaml"];

/// The file of components that is served when there is no configuration and the file is in the folder of the flow.
const COMPONENTS: &str = "components.py";

/// What was found.
pub enum Found {
    /// A file; `-` is stdin.
    File(PathBuf),
    /// No file.
    Nothing {
        /// The file that `stepflow-worker` serves.
        worker: Option<String>,
    },
}

/// Searches the configuration.
pub fn find(args: &ComponentArgs, flow: Option<&Path>) -> Result<Found, Failure> {
    if let Some(path) = &args.config {
        return Ok(Found::File(path.clone()));
    }
    let beside = flow.map(parent);
    let here = Path::new("");
    let mut file = None;
    for folder in beside.iter().copied().chain([here]) {
        file = match file {
            None => in_folder(folder)?,
            found => found,
        };
    }
    match (&args.worker, file) {
        (None, Some(path)) => Ok(Found::File(path)),
        (Some(worker), ignored) => {
            if let Some(path) = ignored {
                let note = format!("`{}` is not read, because `--worker` is given", path.display());
                line(format_args!("{} {note}", Paint::Warning.on("warning:")));
            }
            Ok(Found::Nothing { worker: Some(worker.clone()) })
        }
        (None, None) => Ok(Found::Nothing { worker: beside.and_then(components_in) }),
    }
}

/// The folder that the file lies in, absolute; the current one for stdin.
pub fn folder_of(path: &Path) -> Result<PathBuf, Failure> {
    let folder = parent(path);
    std::path::absolute(current_folder()?.join(folder))
        .map_err(|error| Failure::outside(format!("cannot find the folder of `{}`: {error}", path.display())))
}

/// The current folder.
pub fn current_folder() -> Result<PathBuf, Failure> {
    env::current_dir().map_err(|error| Failure::outside(format!("cannot find the current folder: {}", reason(&error))))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn in_folder(folder: &Path) -> Result<Option<PathBuf>, Failure> {
    let mut present = NAMES.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    match (present.next(), present.next()) {
        (Some(first), Some(second)) => Err(Failure::outside(format!(
            "there are two configurations, `{}` and `{}`",
            first.display(),
            second.display()
        ))
        .hint("remove one of them, or name the right one with `--config`")),
        (found, _) => Ok(found),
    }
}

fn components_in(folder: &Path) -> Option<String> {
    let path = folder.join(COMPONENTS);
    path.is_file().then(|| path.display().to_string())
}
