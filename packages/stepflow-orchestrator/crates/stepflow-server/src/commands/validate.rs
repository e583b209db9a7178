//! `validate`: everything that is wrong with flows, without running them.

use std::path::Path;

use stepflow_flow::{Diagnostics, Loaded, Plan};

use crate::cli::{Format, ValidateArgs};
use crate::config;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::service::unserved;
use crate::stderr::{self, Paint, line};

/// Checks flows and says what is wrong with each.
pub fn validate(args: &ValidateArgs) -> Result<Exit, Failure> {
    let mut results = Vec::new();
    let mut exit = Exit::Success;
    for path in args.flows() {
        let loaded = check(path, args)?;
        if loaded.diagnostics.num_fatal() + loaded.diagnostics.num_error() > 0 {
            exit = Exit::Failed;
        }
        match args.format {
            Format::Text => report(path, &loaded),
            Format::Json => results.push(to_json(path, &loaded.diagnostics)),
        }
    }
    if args.format == Format::Json {
        document::print(&format!("{:#}", serde_json::Value::Array(results)))?;
    }
    Ok(exit)
}

fn check(path: &Path, args: &ValidateArgs) -> Result<Loaded, Failure> {
    let mut loaded = stepflow_flow::load(document::read("flow", path)?);
    let config = config::find(&args.components, Some(path))?;
    if let Some(warnings) = config.not_built() {
        line(warnings.trim_end());
    }
    let routing = config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    if let Some(Ok(plan)) = loaded.flow.clone().map(Plan::compile) {
        loaded.add(unserved(&routing, &plan, config.advice()));
    }
    Ok(loaded)
}

fn report(path: &Path, loaded: &Loaded) {
    let wrong = &loaded.diagnostics;
    if !wrong.is_empty() {
        line(wrong.render(&loaded.source, stderr::color()).trim_end());
    }
    let steps = counted(loaded.flow.as_ref().map_or(0, |flow| flow.steps.len()), "step");
    let verdict = match (wrong.num_fatal() + wrong.num_error(), wrong.num_warning()) {
        (0, 0) => format!("{}, {steps}", Paint::Success.on("valid")),
        (0, warnings) => format!("{}, {steps}, {}", Paint::Success.on("valid"), counted(warnings, "warning")),
        (errors, 0) => Paint::Error.on(counted(errors, "error")),
        (errors, warnings) => {
            format!("{}, {}", Paint::Error.on(counted(errors, "error")), counted(warnings, "warning"))
        }
    };
    line(format_args!("{}: {verdict}", path.display()));
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn to_json(path: &Path, diagnostics: &Diagnostics) -> serde_json::Value {
    let mut json = diagnostics.to_json();
    if let Some(members) = json.as_object_mut() {
        members.insert("file".to_owned(), path.display().to_string().into());
    }
    json
}
