//! A point at which the process kills itself, so that tests see what a crash leaves. `STEPFLOW_CRASH_AT` names it.

use std::path::Path;

use rustix::process::{Signal, getpid, kill_process};

use super::options::Error;

const VARIABLE: &str = "STEPFLOW_CRASH_AT";

/// Counts the appends and new runs, if a crash is wanted at one of them.
#[derive(Debug, Default)]
pub(super) struct Crash(Option<Point>);

#[derive(Debug, PartialEq, Eq)]
struct Point {
    /// How many appends and new runs there are until then.
    left: u64,
    /// Whether the COMMIT is lost. Otherwise nobody is told of it.
    before: bool,
}

impl Crash {
    /// The point that the environment names.
    pub fn from_environment(path: &Path) -> Result<Self, Error> {
        let Some(text) = std::env::var_os(VARIABLE) else { return Ok(Self(None)) };
        match text.to_str().and_then(point) {
            Some(point) => Ok(Self(Some(point))),
            None => Err(Error::cannot_open(path, &format!("{VARIABLE} must be a number, `N:before` or `N:after`"))),
        }
    }

    /// Counts one more. Says whether the batch ends with it.
    pub fn is_next(&mut self) -> bool {
        let Some(point) = &mut self.0 else { return false };
        point.left = point.left.saturating_sub(1);
        point.left == 0
    }

    /// All of a batch is done but its COMMIT.
    pub fn before_commit(&self) {
        self.crash_if(true);
    }

    /// A batch is durable, and nobody has been told.
    pub fn after_commit(&self) {
        self.crash_if(false);
    }

    fn crash_if(&self, now: bool) {
        if matches!(self.0, Some(Point { left: 0, before }) if before == now) {
            let _ = kill_process(getpid(), Signal::KILL);
            // Not reached: this signal cannot be held off.
            std::process::abort();
        }
    }
}

fn point(text: &str) -> Option<Point> {
    let (n, mode) = text.split_once(':').unwrap_or((text, "after"));
    let left = n.parse().ok().filter(|n| *n > 0)?;
    match mode {
        "before" => Some(Point { left, before: true }),
        "after" => Some(Point { left, before: false }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_number_of_an_append_and_a_side_of_its_commit() {
        assert_eq!(point("3"), Some(Point { left: 3, before: false }));
        assert_eq!(point("3:after"), Some(Point { left: 3, before: false }));
        assert_eq!(point("17:before"), Some(Point { left: 17, before: true }));
        for wrong in ["", "0", "-1", "x", "1:", "1:between"] {
            assert_eq!(point(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_batch_ends_with_the_append_of_the_point() {
        let mut crash = Crash(Some(Point { left: 2, before: true }));
        assert_eq!([crash.is_next(), crash.is_next()], [false, true]);
        assert!(!Crash::default().is_next());
    }
}
