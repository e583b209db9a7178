//! The inputs of a run. They are read from where the command line tells, and checked before anything starts.

use stepflow_flow::source::Format;
use stepflow_flow::{Capped, Misfit, Plan, Secrets, Source, read_value};
use stepflow_protocol::{Value, ValueError};

use super::assign::assign;
use crate::cli::InputArgs;
use crate::document;
use crate::exit::{Exit, Failure};
use crate::stderr;

/// How many misfits are listed; the others are only counted.
const LISTED: usize = 10;

/// The inputs of the items; a single `null` when none is given.
pub fn read(args: &InputArgs, plan: &Plan) -> Result<Vec<Value>, Failure> {
    let (inputs, origin) = origin(args, plan.input_secrets())?;
    let mut misfits = Capped::default();
    for (item, input) in inputs.iter().enumerate() {
        misfits.append(plan.check_input(input).err().unwrap_or_default(), |misfit| (item, misfit));
    }
    if misfits.is_empty() { Ok(inputs) } else { Err(misfit(&misfits, &origin, args.inputs.is_some())) }
}

fn origin(args: &InputArgs, secrets: &Secrets) -> Result<(Vec<Value>, String), Failure> {
    if let Some(path) = &args.inputs {
        let source = document::read("inputs", path)?;
        return Ok((lines(&source, secrets)?, format!("`{}`", source.name)));
    }
    let given = document::from_options(
        "input",
        args.input.as_deref(),
        ("--input-json", args.input_json.as_deref()),
        ("--input-yaml", args.input_yaml.as_deref()),
    )?;
    let (input, mut origin) = match given {
        None => (Value::null(), String::new()),
        Some((source, exit)) => {
            let origin = format!("`{}`", source.name);
            (document(source, exit, "the input is one value, such as `{\"n\": 1}`", secrets)?, origin)
        }
    };
    if !args.set.is_empty() {
        origin = if origin.is_empty() { "`--set`".to_owned() } else { format!("{origin} and `--set`") };
    }
    Ok((vec![assign(input, &args.set, secrets)?], origin))
}

/// The value of a document in JSON or YAML. If it may contain secrets, errors do not show its text.
pub fn document(source: Source, exit: Exit, hint: &str, secrets: &Secrets) -> Result<Value, Failure> {
    // A JSON text is kept exactly as it is, also its numbers.
    if let Ok(value) = Value::parse(document::without_byte_order_mark(&source.text)) {
        return Ok(value);
    }
    let takes = if source.format == Format::Json { "JSON" } else { "JSON or YAML" };
    read_value(&source).map_err(|wrong| {
        let wrong = if secrets.is_none() { wrong } else { wrong.without_text() };
        Failure::text(exit, wrong.render(&source, stderr::color())).hint(format!("{hint}, in {takes}"))
    })
}

/// One value for each line that is not blank.
fn lines(source: &Source, secrets: &Secrets) -> Result<Vec<Value>, Failure> {
    let mut inputs = Vec::new();
    for (index, text) in document::without_byte_order_mark(&source.text).split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        inputs.push(Value::parse(text).map_err(|error| {
            let problem = problem(&error, secrets);
            Failure::document(format!("line {} of `{}` cannot be read: {problem}", index + 1, source.name))
                .hint("each line is one JSON value, the input of one item")
        })?);
    }
    Ok(inputs)
}

/// Why a line is not a value. Without the path when there are secrets: names of members inside a secret are secret, too.
fn problem(error: &ValueError, secrets: &Secrets) -> String {
    let told = error.to_string();
    match error {
        ValueError::TooDeep(path) | ValueError::LoneSurrogate(path) | ValueError::DuplicateKey(path)
            if !secrets.is_none() =>
        {
            told.replace(&format!(": `{path}`"), "")
        }
        // The JSON reader saw one line only.
        ValueError::NotJson(_) => told.replace(" at line 1 column ", " at column "),
        _ => told,
    }
}

fn misfit(misfits: &Capped<(usize, Misfit)>, origin: &str, batch: bool) -> Failure {
    let place = |item: usize| if batch { format!("item {item}: ") } else { String::new() };
    let hint = "`schemas.properties.input` of the flow tells which input it takes";
    let failure = match &**misfits {
        _ if origin.is_empty() => {
            return Failure::document("the flow needs an input, and none was given")
                .hint("give it with `--input FILE` or `--input-json '{…}'`")
                .hint(hint);
        }
        [(item, only)] => {
            Failure::document(format!("the input in {origin} does not fit the flow: {}{only}", place(*item)))
        }
        several => {
            let mut text = format!("the input in {origin} does not fit the flow:");
            for (item, misfit) in several.iter().take(LISTED) {
                text.push_str(&format!("\n  {}{misfit}", place(*item)));
            }
            if misfits.total() > LISTED {
                text.push_str(&format!("\n  and {} more", misfits.total() - LISTED));
            }
            Failure::document(text)
        }
    };
    failure.hint(hint)
}
