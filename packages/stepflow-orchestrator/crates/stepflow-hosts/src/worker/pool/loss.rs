//! What happens to the attempts that were open in a worker that is gone.

use stepflow_engine::ports::{Answer, Lost};
use stepflow_protocol::{ErrorKind, FlowError, Value};

use crate::worker::connection::OpenExecute;

/// Why a worker is gone.
#[derive(Debug, Clone)]
pub(crate) enum Loss {
    /// It crashed, and one of its attempts may be the reason.
    Crash {
        /// What happened.
        error: FlowError,
        /// Its last lines on stderr; empty for a worker whose stderr we do not read.
        stderr: String,
    },
    /// We ended it: no attempt is to blame, and none uses up a retry.
    Ordered(Lost),
}

/// The answer for each attempt. An attempt that was alone in its worker uses up a retry. Several are suspects: next
/// time at most half as many may be together. So an innocent attempt never fails, and after a few rounds the one that
/// crashes is alone. An attempt that only waited for its sub-run is innocent if another one was running.
///
/// A process may write anything to stderr that it was ever `given`. So its stderr is shown only with an attempt that
/// was the only one it ever had.
pub(super) fn answers(open: &[OpenExecute], loss: &Loss, given: u64) -> Vec<Answer> {
    let idle = open.iter().all(|task| waits(task, open));
    let all = open;
    let together = u32::try_from(count_suspects(open)).unwrap_or(u32::MAX);
    let answer = |open: &OpenExecute| match loss {
        _ if open.cancelled.is_some() => Answer::Cancelled,
        Loss::Ordered(lost) => Answer::Lost(lost.clone()),
        Loss::Crash { error, stderr } => {
            let suspect = idle || !waits(open, all);
            // While it waited for its sub-run, others were let in that may exceed its own limit.
            let most = if open.lane.max_suspects > 0 { open.lane.max_suspects } else { u32::MAX };
            let shared = if idle { together.min(most) } else { together };
            let error = if given == 1 { with_stderr(error, stderr) } else { error.clone() };
            let (suspects, spends) = if suspect { (together.min(most), shared == 1) } else { (0, false) };
            Answer::Lost(Lost { error, spends, back_off: false, suspects })
        }
    };
    open.iter().map(answer).collect()
}

/// Whether an attempt waits for its sub-run, or may do so by asking for its state again and again: a task below it is
/// open.
fn waits(open: &OpenExecute, all: &[OpenExecute]) -> bool {
    open.is_parked() || all.iter().any(|other| other.task.above.contains(&open.task.task.task_id))
}

/// How many of these attempts may be the reason of a crash.
pub(super) fn count_suspects(open: &[OpenExecute]) -> usize {
    match open.iter().filter(|task| !waits(task, open)).count() {
        0 => open.len(),
        working => working,
    }
}

/// The error with a worker's last lines on stderr, where it wrote any.
pub(crate) fn with_stderr(error: &FlowError, stderr: &str) -> FlowError {
    let stderr = Some(stderr).filter(|stderr| !stderr.is_empty());
    error.clone().with(stderr.map(|stderr| ("stderr", Value::string(stderr))))
}

/// The result of a task when the host is shut down: no attempt is to blame, and another host may take it.
pub(crate) fn shut_down() -> Lost {
    let error = FlowError::new(ErrorKind::Unreachable, "the worker was shut down with its server");
    Lost { error, spends: false, back_off: true, suspects: 0 }
}
