//! What becomes of the attempts that were open in a worker that is gone.

use stepflow_engine::ports::{Answer, Lost};
use stepflow_protocol::FlowError;

use crate::worker::connection::Open;

/// How a worker went.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// By itself, and one of its attempts may be the reason.
    Crash(FlowError),
    /// Because we ended it: no attempt is to blame, and none spends anything.
    Ordered(Lost),
}

/// The answer for each attempt. An attempt that was alone in its worker spends its budget; several are suspects of
/// which each runs alone next, so that the innocent never fail. One that only waited for its sub-run is innocent as
/// long as another one was at work.
pub(super) fn answers(open: &[Open], loss: &Loss) -> Vec<Answer> {
    let total = open.len();
    let working = open.iter().filter(|open| !open.is_parked()).count();
    let answer = |open: &Open| match loss {
        _ if open.cancelled.is_some() => Answer::Cancelled,
        Loss::Ordered(lost) => Answer::Lost(lost.clone()),
        Loss::Crash(error) => {
            let suspect = working == 0 || !open.is_parked();
            let alone = if working == 0 { total == 1 || open.task.alone } else { working == 1 };
            Answer::Lost(Lost { error: error.clone(), spends: suspect && alone, back_off: false, suspect })
        }
    };
    open.iter().map(answer).collect()
}
