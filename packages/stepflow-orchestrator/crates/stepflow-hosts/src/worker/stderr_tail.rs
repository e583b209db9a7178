//! What a process wrote to stderr before its end.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// How much of what a process wrote to stderr is kept.
const MAX_KEPT: usize = 64 * 1024;

/// The end of what a process wrote to stderr.
#[derive(Debug, Clone, Default)]
pub(crate) struct StderrTail(Arc<Mutex<Tail>>);

#[derive(Debug, Default)]
struct Tail {
    end: VecDeque<u8>,
    /// How many bytes were dropped before it.
    before: usize,
}

impl StderrTail {
    pub(crate) fn push(&self, line: &[u8]) {
        let mut kept = self.0.lock();
        kept.end.extend(line);
        kept.end.push_back(b'\n');
        let surplus = kept.end.len().saturating_sub(MAX_KEPT);
        kept.end.drain(..surplus);
        kept.before += surplus;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().end.is_empty()
    }

    /// All that is kept, after a note if something was dropped. The code that hides secrets then looks for parts of
    /// them at the beginning.
    pub(crate) fn all(&self) -> String {
        let (kept, before) = {
            let kept = self.0.lock();
            (kept.end.iter().copied().collect::<Vec<u8>>(), kept.before)
        };
        // If the cut split a character, its remaining bytes are dropped.
        let rest = kept.iter().take(3).take_while(|byte| before > 0 && **byte & 0xc0 == 0x80).count();
        let text = String::from_utf8_lossy(&kept[rest..]);
        let text = text.trim_end();
        if before == 0 { text.to_owned() } else { format!("({} bytes before) …{text}", before + rest) }
    }

    /// The last lines, for a message.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let all = self.all();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_says_that_something_was_dropped_before_it() {
        let tail = StderrTail::default();
        tail.push(b"first");
        assert_eq!(tail.all(), "first");
        tail.push("é".repeat(MAX_KEPT / 2 - 1).as_bytes());
        let kept = "é".repeat(MAX_KEPT / 2 - 1);
        assert_eq!(tail.all(), format!("(5 bytes before) …\n{kept}"));
        tail.push(b"");
        tail.push(b"");
        assert_eq!(tail.all(), format!("(8 bytes before) …{}", &kept[2..]));
    }
}
