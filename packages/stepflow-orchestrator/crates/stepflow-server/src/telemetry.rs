//! Logs. They go to stderr, because stdout is for results.

use std::fmt;
use std::io::{self, Write};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use crate::progress::Terminal;
use stepflow_flow::visible::visible;

/// Starts to log messages of this level and above. If an earlier command in this process has started it already, nothing
/// changes.
pub fn start(level: LevelFilter, terminal: &Terminal) {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .fmt_fields(FieldsFirst)
        .with_writer(Lines(terminal.clone()))
        .try_init();
}

/// Writes `plugin="python": the message`: after a message of several lines, fields would look like a part of it.
struct FieldsFirst;

impl<'w> FormatFields<'w> for FieldsFirst {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut parts = Parts::default();
        fields.record(&mut parts);
        match parts.fields.is_empty() {
            true => writer.write_str(&parts.message),
            false => write!(writer, "{}: {}", parts.fields.join(" "), parts.message),
        }
    }
}

/// The parts of a log message.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<String>,
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push(format!("{name}={value:?}")),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn fields_stand_before_the_message() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(FieldsFirst)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(plugin = "python", count = 2, "it ended\nhint: see why");
            tracing::info!("stopping");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, " WARN plugin=\"python\" count=2: it ended\nhint: see why\n INFO stopping\n");
    }
}
