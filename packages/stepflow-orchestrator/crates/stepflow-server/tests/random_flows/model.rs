//! What a flow means, from its JSON alone: recursive, one step after the other.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::documents::Case;

/// How a step or an item ends. A failure has the name of its kind and a message; of expressions' failures the message is
/// the engine's own and is not modelled.
#[derive(Debug, Clone)]
pub enum Outcome {
    Success(Json),
    Failed(String, String),
}

use Outcome::{Failed, Success};

impl PartialEq for Outcome {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Success(one), Success(other)) => one == other,
            (Failed(kind, _), Failed(other, _)) if kind == "EXPRESSION_FAILURE" => kind == other,
            (Failed(kind, message), Failed(other, said)) => kind == other && message == said,
            _ => false,
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub attempts: u32,
    /// The kind of its error.
    pub failed: Option<String>,
}

/// An item that has ended: its outcome, the steps that were needed, and what components were asked.
#[derive(Debug)]
pub struct Item {
    pub outcome: Outcome,
    pub steps: BTreeMap<String, Ended>,
    pub calls: Vec<(String, Json)>,
}

/// What comes of each item.
pub fn items(case: &Case) -> Vec<Item> {
    case.inputs.iter().map(|input| Model::of(&case.flow, input, &case.variables).run()).collect()
}

/// What a component returns; every time the same.
pub fn answer(component: &str, input: &Json) -> Outcome {
    let failed = |kind: &str| Failed(kind.to_owned(), format!("not {input}"));
    match component {
        "/m/wrap" => Success(json!({"got": input})),
        "/m/null" => Success(Json::Null),
        "/m/busy" => failed("RESOURCE_UNAVAILABLE"),
        "/m/picky" if input.is_object() || input.is_array() => Success(json!({"d": [input]})),
        _ => failed("COMPONENT_FAILED"),
    }
}

struct Model<'a> {
    flow: &'a Json,
    input: &'a Json,
    variables: &'a Json,
    known: BTreeMap<String, (Outcome, u32)>,
    calls: Vec<(String, Json)>,
}

impl<'a> Model<'a> {
    fn of(flow: &'a Json, input: &'a Json, variables: &'a Json) -> Self {
        Self { flow, input, variables, known: BTreeMap::new(), calls: Vec::new() }
    }

    fn run(mut self) -> Item {
        let output = self.value(&self.flow["output"]);
        let steps = self.flow["steps"].as_array().unwrap();
        let musts = steps.iter().filter(|step| step["mustExecute"] == true);
        let musts: Vec<Outcome> = musts.map(|step| self.step(step["id"].as_str().unwrap())).collect();
        let failed_must = musts.into_iter().find(|outcome| matches!(outcome, Failed(..)));
        let outcome = match output {
            Success(_) => failed_must.unwrap_or(output),
            Failed(..) => output,
        };
        let ended = |(outcome, attempts)| match outcome {
            Success(_) => Ended { attempts, failed: None },
            Failed(kind, _) => Ended { attempts, failed: Some(kind) },
        };
        let steps = self.known.into_iter().map(|(id, known)| (id, ended(known))).collect();
        Item { outcome, steps, calls: self.calls }
    }

    fn step(&mut self, id: &str) -> Outcome {
        if !self.known.contains_key(id) {
            let step = self.flow["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap();
            let ended = match self.value(&step["input"]) {
                Success(input) => self.handled(step, &input),
                failure => (failure, 0),
            };
            self.known.insert(id.to_owned(), ended);
        }
        self.known[id].0.clone()
    }

    /// The component's answer under the step's `onError`, and how many attempts it took.
    fn handled(&mut self, step: &Json, input: &Json) -> (Outcome, u32) {
        let answer = self.call(step["component"].as_str().unwrap(), input);
        let Failed(kind, _) = &answer else { return (answer, 1) };
        let handling = &step["onError"];
        let again = match &handling["retryOn"] {
            Json::Array(kinds) => kinds.iter().any(|worth| worth == kind.as_str()),
            _ => kind == "COMPONENT_FAILED" || kind == "RESOURCE_UNAVAILABLE",
        };
        let default = |of: &Json| Success(of["defaultValue"].clone());
        match handling["action"].as_str() {
            Some("useDefault") => (default(handling), 1),
            Some("retry") => {
                let attempts = if again { 3 } else { 1 };
                let exhausted = &handling["exhausted"];
                (if exhausted.is_object() { default(exhausted) } else { answer }, attempts)
            }
            _ => (answer, 1),
        }
    }

    fn call(&mut self, component: &str, input: &Json) -> Outcome {
        if component != "/builtin/map" {
            self.calls.push((component.to_owned(), input.clone()));
            return answer(component, input);
        }
        let items = input["items"].as_array().unwrap().iter();
        let ended: Vec<Item> = items.map(|item| Model::of(&input["workflow"], item, self.variables).run()).collect();
        let mut results = Vec::new();
        let mut failure = None;
        for item in ended {
            self.calls.extend(item.calls);
            match item.outcome {
                Success(value) => results.push(json!({"outcome": "success", "result": value})),
                failed => failure = failure.or(Some(failed)),
            }
        }
        let count = results.len();
        failure.unwrap_or_else(|| Success(json!({"results": results, "successful": count, "failed": 0})))
    }

    fn value(&mut self, expression: &Json) -> Outcome {
        let members = match expression {
            Json::Array(elements) => return self.all(elements.iter(), Json::Array),
            Json::Object(members) => members,
            scalar => return Success(scalar.clone()),
        };
        if let Some(literal) = members.get("$literal") {
            Success(literal.clone())
        } else if let Some(condition) = members.get("$if") {
            let holds = !matches!(self.value(condition), Failed(..) | Success(Json::Null | Json::Bool(false)));
            members.get(if holds { "then" } else { "else" }).map_or(Success(Json::Null), |branch| self.value(branch))
        } else if let Some(options) = members.get("$coalesce") {
            let mut options = options.as_array().unwrap().iter().map(|option| self.value(option));
            options.find(|option| !matches!(option, Success(Json::Null))).unwrap_or(Success(Json::Null))
        } else if let Some(step) = members.get("$step") {
            match self.step(step.as_str().unwrap()) {
                Success(value) if !value.is_null() => follow(&value, members.get("path").unwrap_or(&"$".into())),
                ended => ended,
            }
        } else if let Some(path) = members.get("$input") {
            follow(self.input, path)
        } else if let Some(path) = members.get("$variable") {
            self.variable(path, members.get("default"))
        } else {
            let keys: Vec<&String> = members.keys().collect();
            self.all(members.values(), |values| keys.into_iter().cloned().zip(values).collect())
        }
    }

    /// All of them are looked at, also those behind one that fails.
    fn all<'e>(&mut self, parts: impl Iterator<Item = &'e Json>, whole: impl FnOnce(Vec<Json>) -> Json) -> Outcome {
        let outcomes: Vec<Outcome> = parts.map(|part| self.value(part)).collect();
        let mut values = Vec::new();
        for outcome in outcomes {
            match outcome {
                Success(value) => values.push(value),
                failure => return failure,
            }
        }
        Success(whole(values))
    }

    /// `w` has a declared default, `n` one that its type implies.
    fn variable(&mut self, path: &Json, default: Option<&Json>) -> Outcome {
        let known = {
            let mut known = json!({"w": "declared", "n": 0});
            known.as_object_mut().unwrap().extend(self.variables.as_object().unwrap().clone());
            known
        };
        match (follow(&known, &bare(path)), default) {
            (Failed(..), Some(default)) => self.value(default),
            (found, _) => found,
        }
    }
}

/// `v` as `$.v`.
fn bare(path: &Json) -> Json {
    let path = path.as_str().unwrap();
    if path.starts_with('$') { path.into() } else { format!("$.{path}").into() }
}

/// The five spellings of paths that the flows here have.
fn follow(value: &Json, path: &Json) -> Outcome {
    let path = bare(path);
    let path = path.as_str().unwrap().replace("[\"", ".").replace("\"]", "").replace('[', ".").replace(']', "");
    let mut at = value;
    for name in path.split('.').skip(1) {
        let found =
            if at.is_array() { name.parse::<usize>().ok().and_then(|index| at.get(index)) } else { at.get(name) };
        match found {
            Some(found) => at = found,
            None => return Failed("EXPRESSION_FAILURE".into(), String::new()),
        }
    }
    Success(at.clone())
}
