//! What is checked before the first step: the document, and that something serves its components.

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

/// A flow that can run, and the text that it came from.
pub struct Document {
    pub plan: Arc<Plan>,
    /// The overrides that are in the plan.
    pub overrides: Option<Value>,
    loaded: Loaded,
}

/// Reads a flow with its overrides, and stops at what must not run.
pub fn read(path: &Path, given: &OverrideArgs, config: &Config, no_check: bool) -> Result<Document, Failure> {
    let routing = config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    let loaded = stepflow_flow::load_routed(document::read("flow", path)?, &|component| routing.takes_flow(component));
    let stopped = loaded.diagnostics.iter().any(|diagnostic| stops(diagnostic, no_check));
    let Some(flow) = loaded.flow.as_ref().filter(|_| !stopped) else { return Err(refusal(&loaded)) };
    let errors = errors(&loaded);
    if !errors.is_empty() {
        stderr::line(errors.render(&loaded.source, stderr::color()).trim_end());
    }
    let (plan, overrides) = overrides::plan(given, flow)?;
    Ok(Document { plan, overrides, loaded })
}

/// Stops when a step names a component that nothing serves, and says which fields no component would ever see.
pub fn components(document: Document, service: &Service, config: &Config, no_check: bool) -> Result<(), Failure> {
    if no_check {
        return Ok(());
    }
    let unserved = unserved(service.router(), &document.plan, config.advice());
    let mut loaded = document.loaded;
    if !unserved.is_empty() {
        loaded.add(unserved);
        return Err(refusal(&loaded));
    }
    let mut unknown = Diagnostics::default();
    unknown.extend(fields::unknown(&document.plan.flow, &loaded, service.router(), &service.catalog()));
    if !unknown.is_empty() {
        stderr::line(unknown.render(&loaded.source, stderr::color()).trim_end());
    }
    Ok(())
}

fn stops(diagnostic: &Diagnostic, no_check: bool) -> bool {
    let costly = matches!(diagnostic.code, Code::MisspeltKey | Code::InvalidComponent | Code::UnknownComponent);
    diagnostic.level == Level::Fatal || (costly && !no_check)
}

fn refusal(loaded: &Loaded) -> Failure {
    Failure::text(Exit::Failed, errors(loaded).render(&loaded.source, stderr::color()))
}

/// What may make a run another one than its author wants. The other warnings are for `validate`: a flow that runs is not
/// the place to ask for a description, or for another spelling.
fn errors(loaded: &Loaded) -> Diagnostics {
    let mut errors = Diagnostics::default();
    errors.extend(loaded.diagnostics.iter().filter(|diagnostic| matters(diagnostic)).cloned());
    errors
}

fn matters(diagnostic: &Diagnostic) -> bool {
    let changes_runs = matches!(
        diagnostic.code,
        Code::UnknownKey | Code::LooksLikeReference | Code::UnusedDefault | Code::UnreachableStep
    );
    changes_runs || diagnostic.level > Level::Warning
}
