//! Logs. They go to stderr, because stdout is for results.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::progress::Terminal;
use stepflow_flow::visible::visible;

/// Starts to log messages of this level and above. If an earlier command in this process has started it already, nothing
/// changes.
pub fn start(level: LevelFilter, terminal: &Terminal) {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(Lines(terminal.clone()))
        .try_init();
}

/// Passes whole lines to the terminal, which keeps them apart from its live display.
struct Lines(Terminal);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = TerminalWriter<'a>;

    fn make_writer(&'a self) -> TerminalWriter<'a> {
        TerminalWriter(&self.0)
    }
}

struct TerminalWriter<'a>(&'a Terminal);

impl Write for TerminalWriter<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let shown = String::from_utf8_lossy(text);
        self.0.aside(|| io::stderr().lock().write_all(visible(&shown).as_bytes()))?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
