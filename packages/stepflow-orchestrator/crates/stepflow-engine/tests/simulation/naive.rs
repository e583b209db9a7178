//! The meaning of a flow, written as simply as possible: recursive, sequential, and without its own laziness.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::calls;
use super::flows::Case;

/// How an item or a step ends. Only the messages of components are compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Success(Json),
    Failed(String, String),
}

use Outcome::{Failed, Success};

/// The outcome of each item.
pub fn results(case: &Case) -> Vec<Outcome> {
    case.inputs.iter().map(|input| Naive { flow: &case.flow, input, known: HashMap::new() }.run()).collect()
}

struct Naive<'a> {
    flow: &'a Json,
    input: &'a Json,
    known: HashMap<String, Outcome>,
}

/// The failure of a step that never ends.
const NEVER: &str = "never";

fn timeout() -> Outcome {
    Failed("TIMEOUT".into(), String::new())
}

fn expression_failure() -> Outcome {
    Failed("EXPRESSION_FAILURE".into(), String::new())
}

impl Naive<'_> {
    fn run(mut self) -> Outcome {
        let musts: Vec<String> = self.flow["steps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|step| step["mustExecute"] == true)
            .map(|step| step["id"].as_str().unwrap().to_owned())
            .collect();
        let output = self.evaluate(&self.flow["output"].clone());
        let Success(_) = output else { return output };
        for must in musts {
            if let failure @ Failed(..) = self.step(&must) {
                return failure;
            }
        }
        output
    }

    fn step(&mut self, id: &str) -> Outcome {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        let step = self.flow["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone();
        let outcome = match self.evaluate(&step["input"]) {
            Success(input) => Self::handled(&step, Self::component(&step, &input)),
            failure => failure,
        };
        self.known.insert(id.to_owned(), outcome.clone());
        outcome
    }

    fn component(step: &Json, input: &Json) -> Outcome {
        let path = step["component"].as_str().unwrap();
        if let Some(flow) = calls::called(path.trim_start_matches("/t")) {
            return match (Naive { flow: &flow, input, known: HashMap::new() }).run() {
                Success(result) => Success(json!({"got": result})),
                failure => failure,
            };
        }
        match path {
            "/t/map" => Self::map(step, input),
            "/t/iterate" => Self::iterate(input),
            "/t/sleep" if !step["timeout"].is_null() => timeout(),
            "/t/sleep" | "/t/echo" => Success(input.clone()),
            "/t/wrap" | "/t/lost" | "/t/twice" => Success(json!({"got": input})),
            "/t/null" => Success(Json::Null),
            "/t/fail" => Failed("COMPONENT_FAILED".into(), format!("boom {input}")),
            "/t/stuck" => Failed(NEVER.into(), String::new()),
            _ => Failed("COMPONENT_NOT_FOUND".into(), String::new()),
        }
    }

    fn map(step: &Json, input: &Json) -> Outcome {
        let flow = &input["workflow"];
        let run = |item: &Json| Naive { flow, input: item, known: HashMap::new() }.run();
        let outcomes: Vec<Outcome> = input["items"].as_array().unwrap().iter().map(run).collect();
        if let Some(never) = outcomes.iter().find(|outcome| matches!(outcome, Failed(kind, _) if kind == NEVER)) {
            return if step["timeout"].is_null() { never.clone() } else { timeout() };
        }
        let mut results = Vec::new();
        for outcome in outcomes {
            match outcome {
                Success(value) => results.push(json!({"outcome": "success", "result": value})),
                // The flows of a map that should continue never fail here.
                failure => return failure,
            }
        }
        Success(json!({"results": results, "successful": results.len(), "failed": 0}))
    }

    fn iterate(input: &Json) -> Outcome {
        let mut current = &input["initial_input"];
        for iterations in 1.. {
            if let Some(result) = current.get("result") {
                return Success(json!({"result": result, "iterations": iterations, "terminated": false}));
            }
            match current.get("next") {
                Some(next) => current = next,
                None => break,
            }
        }
        Failed("INVALID_INPUT".into(), String::new())
    }

    fn handled(step: &Json, outcome: Outcome) -> Outcome {
        let Failed(..) = &outcome else { return outcome };
        let handling = &step["onError"];
        let default = |of: &Json| Success(of.get("defaultValue").cloned().unwrap_or_default());
        match handling["action"].as_str() {
            Some("useDefault") => default(handling),
            Some("retry") if handling["exhausted"]["action"] == "useDefault" => default(&handling["exhausted"]),
            _ => outcome,
        }
    }

    fn evaluate(&mut self, expression: &Json) -> Outcome {
        match expression {
            Json::Array(elements) => self.all(elements.iter()).map_or_else(|failure| failure, |v| Success(v.into())),
            Json::Object(members) => {
                if let Some(literal) = members.get("$literal") {
                    return Success(literal.clone());
                }
                if let Some(condition) = members.get("$if") {
                    let falsy =
                        matches!(self.evaluate(condition), Failed(..) | Success(Json::Null | Json::Bool(false)));
                    return match if falsy { members.get("else") } else { members.get("then") } {
                        Some(branch) => self.evaluate(branch),
                        None => Success(Json::Null),
                    };
                }
                if let Some(options) = members.get("$coalesce") {
                    for option in options.as_array().unwrap() {
                        match self.evaluate(option) {
                            Success(Json::Null) => {}
                            known => return known,
                        }
                    }
                    return Success(Json::Null);
                }
                if let Some(step) = members.get("$step") {
                    return match self.step(step.as_str().unwrap()) {
                        Success(Json::Null) => Success(Json::Null),
                        Success(value) => {
                            follow(&value, members.get("path").map_or("$", |path| path.as_str().unwrap()))
                        }
                        failure => failure,
                    };
                }
                if let Some(path) = members.get("$input") {
                    return follow(self.input, path.as_str().unwrap());
                }
                match self.all(members.values()) {
                    Ok(values) => Success(Json::Object(members.keys().cloned().zip(values).collect())),
                    Err(failure) => failure,
                }
            }
            scalar => Success(scalar.clone()),
        }
    }

    fn all<'e>(&mut self, parts: impl Iterator<Item = &'e Json>) -> Result<Vec<Json>, Outcome> {
        // Every part is needed, also the parts after one that fails.
        let outcomes: Vec<Outcome> = parts.map(|part| self.evaluate(part)).collect();
        outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Success(value) => Ok(value),
                failure => Err(failure),
            })
            .collect()
    }
}

fn follow(value: &Json, path: &str) -> Outcome {
    let mut at = value;
    for name in path.trim_start_matches('$').split('.').filter(|name| !name.is_empty()) {
        match at.get(name) {
            Some(member) => at = member,
            None => return expression_failure(),
        }
    }
    Success(at.clone())
}
