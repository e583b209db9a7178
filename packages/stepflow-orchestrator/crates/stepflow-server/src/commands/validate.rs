//! `validate`: everything that is wrong with flows, without running them.

use std::path::Path;
use std::sync::Arc;

use stepflow_engine::ports::ComponentHost as _;
use stepflow_flow::fix::{self, Change};
use stepflow_flow::subflow::Takers;
use stepflow_flow::{Diagnostics, Loaded, Plan, Source};
use stepflow_hosts::StartError;

use super::fields;
use super::workers::{self, Started};
use crate::cli::{DiagnosticFormat, ValidateArgs};
use crate::config::{self, Config};
use crate::document;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output_file::OutputFile;
use crate::progress::Terminal;
use crate::service::{Needs, Service, unserved};
use crate::stderr::{self, Paint, line};
use crate::wording::counted;

/// Checks flows and says what is wrong with each.
pub async fn validate(args: ValidateArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let mut interrupts = workers::listen()?;
    let mut places = Projects { args: &args, terminal: &terminal, open: Vec::new(), failed: Vec::new() };
    let checked = check_all(&mut places, &mut interrupts).await;
    let (open, failed) = (places.open, places.failed);
    for place in &open {
        workers::end(&place.service, false, &terminal, &mut interrupts).await;
    }
    let exit = checked?;
    if exit != Exit::Interrupted && !failed.is_empty() {
        return Err(workers::failure(&failed).hint("`--no-components` checks flows without their workers"));
    }
    Ok(exit)
}

async fn check_all(places: &mut Projects<'_>, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let args = places.args;
    let mut results = Vec::new();
    let mut exit = Exit::Success;
    for path in args.flows() {
        let Some(loaded) = check(path, places, interrupts).await? else { return Ok(Exit::Interrupted) };
        if loaded.diagnostics.num_fatal() + loaded.diagnostics.num_error() > 0 {
            exit = Exit::Failed;
        }
        match args.format {
            DiagnosticFormat::Text => places.terminal.aside(|| report(path, &loaded, args.fix)),
            DiagnosticFormat::Json => results.push(to_json(path, &loaded.diagnostics)),
        }
    }
    if args.format == DiagnosticFormat::Json {
        document::print(&format!("{:#}", serde_json::Value::Array(results)))?;
    }
    Ok(exit)
}

/// The flow, its file mended where one answer is right; says what was changed.
fn mended(path: &Path, source: Source, takers: Takers<'_>, terminal: &Terminal) -> Result<Source, Failure> {
    if document::is_stdin(path) {
        return Err(Failure::usage("`--fix` rewrites a file, and stdin is none").hint("save the flow in a file"));
    }
    let (mended, changes) = fix::fixed(source, takers);
    if !changes.is_empty() {
        OutputFile::write_whole("flow", path, &mended.text)?;
    }
    for Change { line: at, summary } in changes {
        terminal.aside(|| line(format_args!("{}:{at}: {} {summary}", path.display(), Paint::Success.on("fixed"))));
    }
    Ok(mended)
}

/// All that is wrong with a flow; `None` when somebody did not want to wait for it.
async fn check(path: &Path, places: &mut Projects<'_>, interrupts: &mut Interrupts) -> Result<Option<Loaded>, Failure> {
    let source = document::read("flow", path)?;
    let config = config::find(&places.args.components, Some(path))?;
    let routing = config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    let takers = |component: &str| routing.takes_flow(component);
    let source = if places.args.fix { mended(path, source, &takers, places.terminal)? } else { source };
    let mut loaded = stepflow_flow::load_routed(source, &takers);
    let plan = loaded.flow.clone().map(Plan::compile);
    let Some(Ok(plan)) = plan else {
        warn(&config);
        return Ok(Some(loaded));
    };
    if places.args.no_components {
        warn(&config);
        loaded.add(unserved(&routing, &plan, config.advice()));
        return Ok(Some(loaded));
    }
    let advice = config.advice();
    let service = places.service(config)?;
    match workers::start(&service, Needs::Plan(&plan), false, places.terminal, interrupts).await {
        Started::Interrupted => return Ok(None),
        Started::Without(errors) => places.note(errors),
        Started::All => {}
    }
    let mut found = unserved(service.router(), &plan, advice);
    found.extend(fields::unknown(&plan.flow, &loaded, service.router(), &service.catalog()));
    loaded.add(found);
    Ok(Some(loaded))
}

/// The configurations of the flows, each with its workers: flows in one folder share them.
struct Projects<'a> {
    args: &'a ValidateArgs,
    terminal: &'a Terminal,
    open: Vec<Project>,
    failed: Vec<StartError>,
}

struct Project {
    config: Config,
    service: Arc<Service>,
}

impl Projects<'_> {
    /// The service of a configuration; the same one for the same configuration.
    fn service(&mut self, config: Config) -> Result<Arc<Service>, Failure> {
        let same = |place: &&Project| {
            (&place.config.plugins, &place.config.routes, &place.config.folder)
                == (&config.plugins, &config.routes, &config.folder)
        };
        if let Some(place) = self.open.iter().find(same) {
            return Ok(Arc::clone(&place.service));
        }
        warn(&config);
        let service = Arc::new(workers::service(&config)?);
        self.open.push(Project { config, service: Arc::clone(&service) });
        Ok(service)
    }

    /// Keeps each failure once: several flows may need the same worker.
    fn note(&mut self, errors: Vec<StartError>) {
        for error in errors {
            if !self.failed.contains(&error) {
                self.failed.push(error);
            }
        }
    }
}

/// Says what this release cannot do of what the configuration asks for, and what is risky in it.
fn warn(config: &Config) {
    for warnings in [config.not_built(), config.risks()].into_iter().flatten() {
        line(warnings.trim_end());
    }
}

fn report(path: &Path, loaded: &Loaded, is_fixed: bool) {
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
    let fixable = wrong.iter().filter(|one| one.fix.is_some()).count();
    // What is left of them after `--fix` cannot be mended without changing more.
    if fixable > 0 && !is_fixed && !document::is_stdin(path) {
        let command = format!("`stepflow validate --fix {}`", path.display());
        line(format_args!("{} {command} mends {fixable} of these", Paint::Hint.on("hint:")));
    }
}

fn to_json(path: &Path, diagnostics: &Diagnostics) -> serde_json::Value {
    let mut json = diagnostics.to_json();
    if let Some(members) = json.as_object_mut() {
        members.insert("file".to_owned(), path.display().to_string().into());
    }
    json
}
