//! What a round of tidying up has deleted: whoever set a retention wants to know what it does.

use std::fmt;
use std::ops::AddAssign;

/// What a round has deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Finished runs whose time was over, without their sub-runs.
    pub runs: u64,
    /// Blobs that nothing named any more.
    pub blobs: u64,
    /// The bytes of the files of long values that nothing names any more.
    pub file_bytes: u64,
}

impl AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.blobs += other.blobs;
        self.file_bytes += other.file_bytes;
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = |count: u64, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let (runs, blobs) = (some(self.runs, "finished run"), some(self.blobs, "blob"));
        write!(f, "{runs}, {blobs} and {} of files", some(self.file_bytes, "byte"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_kind_has_no_plural() {
        let swept = Swept { runs: 1, blobs: 2, file_bytes: 1 };
        assert_eq!(swept.to_string(), "1 finished run, 2 blobs and 1 byte of files");
    }
}
