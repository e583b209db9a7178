//! How a command ends: its exit code, and its message when it fails.

use std::fmt::Display;
use std::process::ExitCode;

use stepflow_engine::ports::StoreError;

use crate::stderr;

/// The exit codes.
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

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    content: Content,
}

#[derive(Debug)]
enum Content {
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
        Self { exit, content: Content::Text(text.into()) }
    }

    /// A file that the command line names cannot be read.
    pub fn unreadable(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot read the {what} `{}`: {}", path.display(), reason(error)))
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, content: Content::Message { message: message.into(), hints: Vec::new() } }
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        match &mut self.content {
            Content::Message { hints, .. } => hints.push(hint.to_string()),
            Content::Text(text) => *text = format!("{}\n{} {hint}", text.trim_end(), stderr::Paint::Hint.on("hint:")),
        }
        self
    }

    /// Prints it to stderr.
    pub fn report(&self) -> ExitCode {
        match &self.content {
            Content::Text(text) => stderr::line(text.trim_end()),
            Content::Message { message, hints } => {
                stderr::line(format_args!("{} {message}", stderr::Paint::Error.on("error:")));
                for hint in hints {
                    stderr::line(format_args!("{} {hint}", stderr::Paint::Hint.on("hint:")));
                }
            }
        }
        self.exit.into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::outside(error.to_string())
    }
}

/// Why a file could not be read or written, without the error number of the system.
pub fn reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
