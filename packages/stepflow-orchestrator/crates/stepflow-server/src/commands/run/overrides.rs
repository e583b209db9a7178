//! The overrides of a run: changes to the steps of its flow.

use std::sync::Arc;

use stepflow_flow::{Diagnostics, Flow, Level, Overrides, Plan, Secrets, Source, WrittenSecrets, read_node};
use stepflow_protocol::Value;

use super::input;
use crate::cli::OverrideArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr;

/// The plan of a flow with the overrides of the command line, and the overrides as they are recorded in the journal.
pub fn plan(args: &OverrideArgs, flow: &Arc<Flow>) -> Result<(Arc<Plan>, Option<Value>), Failure> {
    let plan = Arc::new(Plan::compile(Arc::clone(flow)).map_err(|fatal| Failure::document(fatal.to_string()))?);
    let Some((source, exit)) = document::from_options(
        "overrides",
        args.overrides.as_deref(),
        ("--overrides-json", args.overrides_json.as_deref()),
        ("--overrides-yaml", args.overrides_yaml.as_deref()),
    )?
    else {
        return Ok((plan, None));
    };
    let refused = |wrong: Diagnostics, exit| Failure::text(exit, rendered(wrong, &source, flow));
    let (overrides, mut warnings) = Overrides::load(&source).map_err(|wrong| {
        // When a text on the command line is not a document at all, the command line is wrong.
        let syntax = wrong.iter().any(|one| one.code == stepflow_flow::Code::InvalidSyntax);
        refused(wrong, if syntax { exit } else { Exit::Failed })
            .hint("overrides look like `{\"steps\": {\"<id>\": {\"value\": {\"input\": …}}}}`")
    })?;
    let (patched, found) = overrides.apply(flow).map_err(|wrong| refused(wrong, Exit::Failed))?;
    warnings.extend(found.into_iter().filter(|one| one.level == Level::Warning));
    if !warnings.is_empty() {
        stderr::line(rendered(warnings, &source, flow).trim_end());
    }
    let plan = plan.patched(patched).map_err(|wrong| refused(wrong, Exit::Failed))?;
    let record = input::document(source.clone(), exit, "the overrides are one object", &Secrets::none())?;
    Ok((Arc::new(plan), (!overrides.is_empty()).then_some(record)))
}

/// The text about what is wrong with the overrides, without secrets that they set as variables of the flow.
fn rendered(mut wrong: Diagnostics, source: &Source, flow: &Flow) -> String {
    let (variables, mut source) = (Secrets::of_flow(&flow.schemas, "variables"), source.clone());
    match read_node(&source) {
        Ok(tree) => WrittenSecrets::in_overrides(&tree, &variables).hide_in(&mut wrong, &mut source),
        Err(_) if !variables.is_none() => wrong = wrong.without_text(),
        Err(_) => {}
    }
    wrong.render(&source, stderr::color())
}
