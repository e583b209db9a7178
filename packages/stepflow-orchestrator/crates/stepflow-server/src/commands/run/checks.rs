//! The checks before the first step: the document, and whether plugins have its components.

use std::path::Path;
use std::sync::Arc;

use stepflow_engine::ports::ComponentHost as _;
use stepflow_flow::{Code, Diagnostic, Diagnostics, Level, Loaded, Plan};
use stepflow_protocol::Value;

use super::overrides;
use crate::cli::OverrideArgs;
use crate::commands::fields;
use crate::config::Config;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::service::{Service, unserved};
use crate::stderr;

/// A flow that can run, and the document that it was read from.
pub struct CheckedFlow {
    pub plan: Arc<Plan>,
    /// The overrides that the plan contains.
    pub overrides: Option<Value>,
    loaded: Loaded,
}

/// Reads a flow with its overrides. It is an error when the flow must not run.
pub fn read(path: &Path, given: &OverrideArgs, config: &Config, no_check: bool) -> Result<CheckedFlow, Failure> {
    let routing = config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    let loaded = stepflow_flow::load_routed(document::read("flow", path)?, &|component| routing.takes_flow(component));
    let stopped = loaded.diagnostics.iter().any(|diagnostic| prevents_run(diagnostic, no_check));
    let Some(flow) = loaded.flow.as_ref().filter(|_| !stopped) else { return Err(refusal(&loaded)) };
    let found = relevant(&loaded);
    if !found.is_empty() {
        stderr::line(found.render(&loaded.source, stderr::color()).trim_end());
    }
    let (plan, overrides) = overrides::plan(given, flow)?;
    Ok(CheckedFlow { plan, overrides, loaded })
}

/// Refuses a flow with a component that no plugin has or with an input that its component refuses, and warns of input
/// fields that no component would see.
pub fn components(document: CheckedFlow, service: &Service, config: &Config, no_check: bool) -> Result<(), Failure> {
    if no_check {
        return Ok(());
    }
    let unserved = unserved(service.router(), &document.plan, config.advice());
    let mut loaded = document.loaded;
    if !unserved.is_empty() {
        loaded.add(unserved);
        return Err(refusal(&loaded));
    }
    let misfits = fields::misfits(&document.plan.flow, &loaded, service.router(), &service.catalog());
    if misfits.iter().any(|misfit| prevents_run(misfit, no_check)) {
        loaded.add(misfits);
        return Err(refusal(&loaded));
    }
    let mut found = Diagnostics::default();
    found.extend(misfits);
    if !found.is_empty() {
        stderr::line(found.render(&loaded.source, stderr::color()).trim_end());
    }
    Ok(())
}

fn prevents_run(diagnostic: &Diagnostic, no_check: bool) -> bool {
    let is_likely_mistake = matches!(
        diagnostic.code,
        Code::MisspeltKey | Code::InvalidComponent | Code::UnknownComponent | Code::InvalidInputField
    );
    diagnostic.level == Level::Fatal || (is_likely_mistake && !no_check)
}

fn refusal(loaded: &Loaded) -> Failure {
    Failure::text(Exit::Failed, relevant(loaded).render(&loaded.source, stderr::color()))
}

/// The errors, and the warnings that tell that a run may not do what its author wants. The other warnings, such as a
/// missing description, are for `validate`.
fn relevant(loaded: &Loaded) -> Diagnostics {
    let mut found = Diagnostics::default();
    found.extend(loaded.diagnostics.iter().filter(|diagnostic| concerns_runs(diagnostic)).cloned());
    found
}

fn concerns_runs(diagnostic: &Diagnostic) -> bool {
    let changes_runs = matches!(
        diagnostic.code,
        Code::UnknownKey | Code::LooksLikeReference | Code::UnusedDefault | Code::UnreachableStep
    );
    changes_runs || diagnostic.level > Level::Warning
}
