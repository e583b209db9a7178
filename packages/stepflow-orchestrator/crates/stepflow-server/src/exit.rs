//! How a command ends: its exit code, and what it says when it could not do what it was asked.

use std::fmt::Display;
use std::process::ExitCode;

use crate::stderr;

/// What the exit code tells a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// The flow failed, or a document or its input was read and found wrong.
    Failed = 1,
    /// The command line is wrong, or a file that it names cannot be read.
    Usage = 2,
    /// Something outside could not be reached or started, or the configuration is wrong.
    Outside = 3,
    /// The user interrupted it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    said: Said,
}

#[derive(Debug)]
enum Said {
    /// One message, and what to do about it.
    Message { message: String, hints: Vec<String> },
    /// A text that is complete as it is, such as diagnostics with their excerpts.
    Text(String),
}

impl Failure {
    /// The document or its input is wrong.
    pub fn document(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something outside could not be reached or started.
    pub fn outside(message: impl Into<String>) -> Self {
        Self::new(Exit::Outside, message)
    }

    /// A text that needs no `error:` before it.
    pub fn text(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, said: Said::Text(text.into()) }
    }

    /// A file that the command line names cannot be read.
    pub fn unreadable(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot read the {what} `{}`: {}", path.display(), reason(error)))
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, said: Said::Message { message: message.into(), hints: Vec::new() } }
    }

    /// The same, and what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        match &mut self.said {
            Said::Message { hints, .. } => hints.push(hint.to_string()),
            Said::Text(text) => *text = format!("{}\n{} {hint}", text.trim_end(), stderr::Paint::Hint.on("hint:")),
        }
        self
    }

    /// Says it on stderr.
    pub fn report(&self) -> ExitCode {
        match &self.said {
            Said::Text(text) => stderr::line(text.trim_end()),
            Said::Message { message, hints } => {
                stderr::line(format_args!("{} {message}", stderr::Paint::Error.on("error:")));
                for hint in hints {
                    stderr::line(format_args!("{} {hint}", stderr::Paint::Hint.on("hint:")));
                }
            }
        }
        self.exit.into()
    }
}

/// The system's reason, without the number that it puts behind it.
pub fn reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
