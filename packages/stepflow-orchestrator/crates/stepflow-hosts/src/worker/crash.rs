//! What happens to a worker's attempts when its process has crashed, and what their errors say.

use std::time::Duration;

use stepflow_flow::visible::quoted;
use stepflow_protocol::{ErrorKind, FlowError, Value};

use super::core::Core;
use super::pool::{InstanceId, Loss, shut_down, with_stderr};

/// Answers every open attempt, and returns how long the worker stays down.
pub(crate) fn crashed(core: &Core, id: Option<InstanceId>, how: &str, stderr: &str) -> Duration {
    let (plugin, policy) = (&core.options.name, &core.options.restart);
    tracing::warn!(plugin, "the worker ended: {how}");
    let refusal = |crashes, stderr: &str| {
        let pause = policy.pause.as_secs_f64();
        let message = format!(
            "the worker of plugin {plugin} ended {crashes} times without one answer, the last time with {how}: \
             it is left alone for {pause} s",
            plugin = quoted(plugin)
        );
        with_stderr(&FlowError::new(ErrorKind::Unreachable, message).with(crash_data(plugin, how)), stderr)
    };
    let loss = crash(core, how, stderr);
    core.shared.with(|pool| {
        // When no attempt is to blame, the steps that fail are not those that the process had.
        let given = id.and_then(|id| pool.instance(id)).map_or(0, |instance| instance.given);
        let stderr = if given == 0 { stderr } else { "" };
        pool.crashed(id, &loss, policy, |crashes| refusal(crashes, stderr))
    })
}

/// A process has never accepted an execute, and is being replaced. Returns how long to wait before that.
pub(crate) fn never_accepted(core: &Core) -> Duration {
    let (plugin, policy) = (&core.options.name, &core.options.restart);
    tracing::warn!(plugin, "the worker accepts no execute, as one that is about to end: another one is started");
    let refusal = |lives| {
        let pause = policy.pause.as_secs_f64();
        let message = format!(
            "the worker of plugin {plugin} was started {lives} times and accepted no execute (NOT_ACCEPTED): it is left \
             alone for {pause} s",
            plugin = quoted(plugin)
        );
        FlowError::new(ErrorKind::Unreachable, message).with([("plugin", Value::string(plugin))])
    };
    let loss = Loss::Ordered(shut_down());
    core.shared.with(|pool| pool.crashed(None, &loss, policy, refusal))
}

/// A process crashed that already had a successor.
pub(crate) fn crashed_in_retirement(core: &Core, id: InstanceId, how: &str, stderr: &str) {
    let loss = crash(core, how, stderr);
    core.shared.with(|pool| pool.remove_instance(id, &loss));
}

fn crash(core: &Core, how: &str, stderr: &str) -> Loss {
    let plugin = &core.options.name;
    let message =
        format!("the worker of plugin {plugin} ended in the middle of the step: {how}", plugin = quoted(plugin));
    let error = FlowError::new(ErrorKind::Unreachable, message).with(crash_data(plugin, how));
    Loss::Crash { error, stderr: stderr.to_owned() }
}

/// What the error's `data` says about the end of a worker.
fn crash_data(plugin: &str, how: &str) -> [(&'static str, Value); 2] {
    [("plugin", Value::string(plugin)), ("status", Value::string(how))]
}
