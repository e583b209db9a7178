//! What becomes of the attempts that were open in a worker that is gone.

use stepflow_engine::ports::{Answer, Lost};
use stepflow_protocol::{FlowError, Value};

use crate::worker::connection::Open;

/// How a worker went.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// By itself, and one of its attempts may be the reason.
    Crash {
        /// What happened.
        error: FlowError,
        /// Its last lines on stderr; empty where nobody heard it.
        words: String,
    },
    /// Because we ended it: no attempt is to blame, and none spends anything.
    Ordered(Lost),
}

/// The answer for each attempt. An attempt that was alone in its worker spends its budget; several are suspects of
/// which each runs alone next, so that the innocent never fail. One that only waited for its sub-run is innocent as
/// long as another one was at work.
///
/// What a process wrote to stderr may quote whatever it was ever `given`. It is shown with an attempt that was the only
/// one that it had.
pub(super) fn answers(open: &[Open], loss: &Loss, given: u64) -> Vec<Answer> {
    let total = open.len();
    let working = open.iter().filter(|open| !open.is_parked()).count();
    let answer = |open: &Open| match loss {
        _ if open.cancelled.is_some() => Answer::Cancelled,
        Loss::Ordered(lost) => Answer::Lost(lost.clone()),
        Loss::Crash { error, words } => {
            let suspect = working == 0 || !open.is_parked();
            let alone = if working == 0 { total == 1 || open.task.alone } else { working == 1 };
            let error = if given == 1 { with_words(error, words) } else { error.clone() };
            Answer::Lost(Lost { error, spends: suspect && alone, back_off: false, suspect })
        }
    };
    open.iter().map(answer).collect()
}

/// The error with a worker's last lines on stderr, where it wrote any.
pub(crate) fn with_words(error: &FlowError, words: &str) -> FlowError {
    let words = Some(words).filter(|words| !words.is_empty());
    error.clone().with(words.map(|words| ("stderr", Value::string(words))))
}
