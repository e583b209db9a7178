//! Tasks that have a slot of a worker and are held back from it until the engine has marked them.

use stepflow_engine::event::TaskRef;
use stepflow_engine::ports::{Answer, TaskEnvelope};

use super::{InstanceState, Notice, Pool};
use crate::fair::Lane;

impl Pool {
    /// Gives a task to the instance at this place. A task that recovers is held back.
    pub(super) fn give(&mut self, at: usize, task: TaskEnvelope, lane: Lane) {
        let instance = &mut self.instances[at];
        if task.recovers {
            self.holds += 1;
            self.notices.push(Notice::Starting(task.address(), self.holds));
            instance.connection.hold(task, lane, self.holds);
        } else {
            instance.execute(task, lane, &mut self.notices);
        }
    }

    /// Sends a task that was held back, unless it has lost its slot or its instance is lost.
    pub(crate) fn proceed(&mut self, task: TaskRef, hold: u64) {
        if self.state.is_shut_down() {
            return;
        }
        for instance in self.instances.iter_mut().filter(|instance| instance.state != InstanceState::Lost) {
            if let Some((asked, address)) = instance.connection.proceed(task, hold) {
                return instance.send_execute(asked, address, &mut self.notices);
            }
        }
    }

    /// Removes a task that is held back. Its worker never hears of it. `false` when there is none.
    pub(super) fn cancel_held(&mut self, task: TaskRef) -> bool {
        let held = self.instances.iter_mut().find_map(|at| Some((at.connection.withdraw_held(task)?, at)));
        let Some((open, instance)) = held else { return false };
        instance.closed();
        self.notices.push(Notice::Answer(open.task.address(), Answer::Cancelled));
        true
    }
}
