//! The variables of a run: from a document, from `--var`, and from the environment.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use stepflow_flow::visible::quoted;
use stepflow_flow::{Plan, Secrets, json_pointer, suggest};
use stepflow_protocol::{Kind, Value, ValueError};

use super::input;
use crate::cli::VariableArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr::{self, Paint};

/// The variables, an object; `None` when nothing was given.
pub fn read(args: &VariableArgs, plan: &Plan) -> Result<Option<Value>, Failure> {
    let mut given: Vec<(String, Value)> = document(args, plan.variable_secrets())?;
    let mut assigned = HashSet::new();
    for assignment in &args.var {
        let (name, text) = assignment.split_once('=').ok_or_else(|| without_value(assignment, plan))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(Failure::usage("a `--var` has no name before its `=`").hint("write it as `--var name=value`"));
        }
        if !assigned.insert(name) {
            return Err(Failure::usage(format!("`--var {name}` is given twice")));
        }
        let value = value_of(plan, name, text);
        let value = value.map_err(|problem| Failure::usage(format!("`--var {name}`: {problem}")))?;
        put(&mut given, name, value);
    }
    refuse_misspelt(&given, plan)?;
    for name in assigned.iter().filter(|name| plan.variables().declared() && !plan.variables().contains(name)) {
        stderr::line(format_args!("{} the flow declares no variable {}", Paint::Warning.on("warning:"), quoted(name)));
    }
    if args.env_variables || args.env_file.is_some() {
        let file = args.env_file.as_deref().map(env_file).transpose()?.unwrap_or_default();
        let environment = |name: &str| std::env::var(name).ok().or_else(|| file.get(name).cloned());
        from_environment(&mut given, plan, environment).map_err(Failure::document)?;
    }
    let asked = !args.var.is_empty() || args.has_document();
    Ok((asked || !given.is_empty()).then(|| Value::object(given)))
}

/// Adds declared variables that are not given and that the environment has.
///
/// # Errors
/// When one of them is JSON that is not allowed as a value.
pub fn from_environment(
    given: &mut Vec<(String, Value)>,
    plan: &Plan,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    for (name, variable) in plan.variables().iter() {
        let origin = variable.environment_name(name);
        if !given.iter().any(|(known, _)| known == name)
            && let Some(text) = environment(&origin)
        {
            let value = value_of(plan, name, &text).map_err(|problem| format!("`{origin}`: {problem}"))?;
            given.push((name.to_owned(), value));
        }
    }
    Ok(())
}

/// The error for an argument without `=`. It may be a value instead of a name, and then it may be secret.
fn without_value(assignment: &str, plan: &Plan) -> Failure {
    let shown = plan.variable_secrets().is_none() || plan.variables().contains(assignment.trim());
    let shown = if shown { assignment } else { "…" };
    Failure::usage(format!("`--var {shown}` has no `=`")).hint("write it as `--var name=value`")
}

fn document(args: &VariableArgs, secrets: &Secrets) -> Result<Vec<(String, Value)>, Failure> {
    let hint = "the variables are one object, such as `{\"name\": \"value\"}`";
    let Some((source, exit)) = document::from_options(
        "variables",
        args.variables.as_deref(),
        ("--variables-json", args.variables_json.as_deref()),
        ("--variables-yaml", args.variables_yaml.as_deref()),
    )?
    else {
        return Ok(Vec::new());
    };
    let name = source.name.clone();
    let value = input::document(source, exit, hint, secrets)?;
    match value.kind() {
        Kind::Object => Ok(value.members()),
        other => {
            let message = format!("the variables in `{name}` are {}, not an object", other.with_article());
            Err(if exit == Exit::Usage { Failure::usage(message) } else { Failure::document(message) }.hint(hint))
        }
    }
}

/// The value that a text gives to a variable. It is the text itself when the variable is declared as a string. Otherwise
/// it is the text read as JSON, unless only the text fits the declaration. JSON that is not allowed as a value is an
/// error, because it was meant as JSON.
fn value_of(plan: &Plan, name: &str, text: &str) -> Result<Value, String> {
    let itself = Value::string(text);
    if plan.variables().get(name).is_some_and(|variable| variable.types == ["string"]) {
        return Ok(itself);
    }
    match Value::parse(text) {
        Ok(json) if fits(plan, name, &json) || !fits(plan, name, &itself) => Ok(json),
        Ok(_) | Err(ValueError::NotJson(_)) => Ok(itself),
        // It was meant as a text when the variable takes no array and no object.
        Err(_) if takes_only_text(plan, name) => Ok(itself),
        Err(_) if !plan.variable_secrets().field(name).is_none() => Err("its value is not allowed".to_owned()),
        Err(problem) => Err(format!("its value is not allowed: {problem}")),
    }
}

/// Whether the declaration takes strings but no objects and arrays.
fn takes_only_text(plan: &Plan, name: &str) -> bool {
    let takes = |kind| plan.variables().get(name).is_some_and(|variable| variable.takes(kind));
    takes("string") && !takes("object") && !takes("array")
}

/// Whether the flow's declaration of this variable takes the value.
fn fits(plan: &Plan, name: &str, value: &Value) -> bool {
    let pointer = json_pointer::segment(name);
    let Err(misfits) = plan.check_variables(&Value::object([(name, value.clone())])) else { return true };
    // Other misfits are about variables that are not in this value.
    !misfits.iter().any(|misfit| {
        // A number that is too large has no path.
        let place = misfit.pointer.strip_prefix(&pointer);
        misfit.pointer.is_empty() || place.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn put(given: &mut Vec<(String, Value)>, name: &str, value: Value) {
    match given.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => given.push((name.to_owned(), value)),
    }
}

/// A name that is almost the name of a declared variable is an error: no step would read it.
fn refuse_misspelt(given: &[(String, Value)], plan: &Plan) -> Result<(), Failure> {
    let variables = plan.variables();
    for (name, _) in given.iter().filter(|(name, _)| !variables.contains(name)) {
        if let Some(nearest) = suggest::nearest(name, variables.names()) {
            return Err(Failure::document(format!("the flow declares no variable {}", quoted(name)))
                .hint(format!("did you mean {}?", quoted(nearest))));
        }
    }
    Ok(())
}

/// The variables in the `NAME=VALUE` lines of a file. Blank lines, comments and quotes around values are removed.
fn env_file(path: &Path) -> Result<HashMap<String, String>, Failure> {
    let source = document::read("environment file", path)?;
    let text = std::str::from_utf8(document::without_byte_order_mark(&source.text))
        .map_err(|_| Failure::document(format!("the environment file `{}` is not UTF-8", source.name)))?;
    let mut variables = HashMap::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |problem: &str| Failure::document(format!("line {number} of `{}` {problem}", source.name));
        let (name, written) = line
            .strip_prefix("export ")
            .unwrap_or(line)
            .split_once('=')
            .ok_or_else(|| wrong("has no `=`").hint("each line is `NAME=VALUE`, or begins with `#`"))?;
        let value = env_value(written.trim()).ok_or_else(|| {
            wrong("has a quote that does not end")
                .hint("put quotes around the whole value, or use none at its beginning")
        })?;
        if variables.insert(name.trim().to_owned(), value.to_owned()).is_some() {
            return Err(wrong(&format!("sets `{}` again", name.trim())));
        }
    }
    Ok(variables)
}

/// The value without its quotes or without the comment after it; `None` when a quote does not end.
fn env_value(written: &str) -> Option<&str> {
    let Some(quote) = written.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return Some(written.find(" #").map_or(written, |comment| written[..comment].trim_end()));
    };
    let (inside, rest) = written[1..].rsplit_once(quote)?;
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(inside)
}
