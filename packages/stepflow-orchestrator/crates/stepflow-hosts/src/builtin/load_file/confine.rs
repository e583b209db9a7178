//! Keeps `/load_file` inside the folders that the config allows: a flow may come from somebody else.

use std::io;
use std::path::{Component, Path, PathBuf};

use stepflow_protocol::FlowError;

use super::{BuiltinOptions, invalid, unreadable};

/// The file's real path, links followed, if it is inside a folder that may be read.
pub(super) fn resolve(path: &Path, options: &BuiltinOptions) -> Result<PathBuf, FlowError> {
    let wanted = without_dots(&options.working_dir.join(path));
    let real = wanted.canonicalize();
    // What is outside is refused before it is known whether it exists: that, too, is nobody's business.
    if !is_allowed(&wanted, options) && !real.as_ref().is_ok_and(|real| is_allowed(real, options)) {
        return Err(outside(path, options));
    }
    match real {
        Ok(real) if is_allowed(&real, options) => Ok(real),
        Ok(_) => Err(outside(path, options)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(unreadable(path, &wanted, &io::Error::new(error.kind(), "there is no such file")))
        }
        Err(error) => Err(unreadable(path, &wanted, &error)),
    }
}

fn is_allowed(path: &Path, options: &BuiltinOptions) -> bool {
    let allowed = options.allow_paths.iter().map(|allowed| options.working_dir.join(allowed));
    allowed.chain([options.working_dir.clone()]).any(|root| {
        path.starts_with(without_dots(&root)) || root.canonicalize().is_ok_and(|root| path.starts_with(root))
    })
}

/// The path with `.` and `..` taken out by their text alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    plain
}

fn outside(path: &Path, options: &BuiltinOptions) -> FlowError {
    let here = options.working_dir.display();
    invalid(
        path,
        &format!("it is outside the working directory `{here}`: list its folder in the builtin plugin's `allowPaths`"),
    )
}
