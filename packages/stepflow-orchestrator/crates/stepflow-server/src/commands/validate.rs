//! `validate`: checks flows without running them.

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
use crate::store::Store;
use crate::wording::counted;

/// Checks flows and reports what is wrong with each.
pub async fn validate(args: ValidateArgs, terminal: Terminal) -> Result<Exit, Failure> {
    if args.flows().next().is_none() {
        return configuration(&args);
    }
    let mut interrupts = workers::listen()?;
    let mut projects = Projects { args: &args, terminal: &terminal, open: Vec::new(), failed: Vec::new() };
    let checked = check_all(&mut projects, &mut interrupts).await;
    let (open, failed) = (projects.open, projects.failed);
    for project in &open {
        workers::stop(&project.service, false, &terminal, &mut interrupts).await;
    }
    let exit = checked?;
    if exit != Exit::Interrupted && !failed.is_empty() {
        return Err(workers::failure(&failed).hint("`--no-components` checks flows without their workers"));
    }
    Ok(exit)
}

/// Checks only the configuration. What is wrong with it is the error of reading it.
fn configuration(args: &ValidateArgs) -> Result<Exit, Failure> {
    let config = config::find(&args.components, None)?;
    config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    warn(&config);
    let (plugins, routes) = (counted(config.plugins.len(), "plugin"), counted(config.routes.len(), "route"));
    line(format_args!("{}: {}, {plugins}, {routes}", config.origin(), Paint::Success.on("valid")));
    if args.format == DiagnosticFormat::Json {
        document::print("[]")?;
    }
    Ok(Exit::Success)
}

async fn check_all(projects: &mut Projects<'_>, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let args = projects.args;
    let mut results = Vec::new();
    let mut exit = Exit::Success;
    for path in args.flows() {
        let Some(loaded) = check(path, projects, interrupts).await? else { return Ok(Exit::Interrupted) };
        if loaded.diagnostics.num_fatal() + loaded.diagnostics.num_error() > 0 {
            exit = Exit::Failed;
        }
        match args.format {
            DiagnosticFormat::Text => projects.terminal.aside(|| report(path, &loaded, args.fix)),
            DiagnosticFormat::Json => results.push(to_json(path, &loaded.diagnostics)),
        }
    }
    if args.format == DiagnosticFormat::Json {
        document::print(&format!("{:#}", serde_json::Value::Array(results)))?;
    }
    Ok(exit)
}

/// Corrects the file of a flow where only one correction is possible, and reports each change.
fn fixed_source(path: &Path, source: Source, takers: Takers<'_>, terminal: &Terminal) -> Result<Source, Failure> {
    if document::is_stdin(path) {
        return Err(Failure::usage("`--fix` rewrites a file, and stdin is not a file").hint("save the flow in a file"));
    }
    let (fixed, changes) = fix::fixed(source, takers);
    if !changes.is_empty() {
        OutputFile::write_whole("flow", path, &fixed.text)?;
    }
    for Change { line: at, summary } in changes {
        terminal.aside(|| line(format_args!("{}:{at}: {} {summary}", path.display(), Paint::Success.on("fixed"))));
    }
    Ok(fixed)
}

/// The flow with everything that is wrong in it; `None` when the user interrupted the check.
async fn check(
    path: &Path,
    projects: &mut Projects<'_>,
    interrupts: &mut Interrupts,
) -> Result<Option<Loaded>, Failure> {
    let source = document::read("flow", path)?;
    let config = config::find(&projects.args.components, Some(path))?;
    let routing = config.routing().map_err(|error| Failure::outside(error.to_string()))?;
    let takers = |component: &str| routing.takes_flow(component);
    let source = if projects.args.fix { fixed_source(path, source, &takers, projects.terminal)? } else { source };
    let mut loaded = stepflow_flow::load_routed(source, &takers);
    let plan = loaded.flow.clone().map(Plan::compile);
    let Some(Ok(plan)) = plan else {
        warn(&config);
        return Ok(Some(loaded));
    };
    if projects.args.no_components {
        warn(&config);
        loaded.add(unserved(&routing, &plan, config.advice()));
        return Ok(Some(loaded));
    }
    let advice = config.advice();
    let service = projects.service(config)?;
    match workers::start(&service, Needs::Plan(&plan), false, projects.terminal, interrupts).await {
        Started::Interrupted => return Ok(None),
        Started::Failed(errors) => projects.keep_failures(errors),
        Started::All => {}
    }
    let mut found = unserved(service.router(), &plan, advice);
    found.extend(fields::misfits(&plan.flow, &loaded, service.router(), &service.catalog()));
    loaded.add(found);
    Ok(Some(loaded))
}

/// The configurations of the flows, each with its workers. Flows with the same configuration share them.
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
    /// The service of a configuration. Equal configurations get the same service.
    fn service(&mut self, config: Config) -> Result<Arc<Service>, Failure> {
        let same = |project: &&Project| {
            (&project.config.plugins, &project.config.routes, &project.config.folder)
                == (&config.plugins, &config.routes, &config.folder)
        };
        if let Some(project) = self.open.iter().find(same) {
            return Ok(Arc::clone(&project.service));
        }
        warn(&config);
        let service = Arc::new(workers::service(&config, Store::default())?);
        self.open.push(Project { config, service: Arc::clone(&service) });
        Ok(service)
    }

    /// Keeps each failure once, because several flows may need the same worker.
    fn keep_failures(&mut self, errors: Vec<StartError>) {
        for error in errors {
            if !self.failed.contains(&error) {
                self.failed.push(error);
            }
        }
    }
}

/// Warns of what is not built and of what is risky in the configuration.
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
    // After `--fix`, those that are left cannot be corrected without further changes.
    if fixable > 0 && !is_fixed && !document::is_stdin(path) {
        let command = format!("`stepflow validate --fix {}`", path.display());
        line(format_args!("{} {command} corrects {fixable} of these", Paint::Hint.on("hint:")));
    }
}

fn to_json(path: &Path, diagnostics: &Diagnostics) -> serde_json::Value {
    let mut json = diagnostics.to_json();
    if let Some(members) = json.as_object_mut() {
        members.insert("file".to_owned(), path.display().to_string().into());
    }
    json
}
