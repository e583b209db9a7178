//! Conformance files: the rules of the language as cases. A file is one group of cases or a list of groups:
//! `{rule, flow | text, cases: [{name, input | inputs, variables?, env?, overrides?, maxConcurrency?, cancel?, mocks?,
//! expect}]}`.
//! A case may have its own document. A case whose `expect` has no `outcome` is about diagnostics and does not run.

use std::path::Path;
use std::sync::Arc;

use stepflow_flow::diagnostics::Code;
use stepflow_flow::node::Content;
use stepflow_flow::{Decoder, Node, Source};
use stepflow_protocol::Value;

use super::case_document;
use super::flow_file::{absolute, mocks};
use super::suite::{Case, Expected, FileContent, Subject, Suite, line_of};
use crate::cli::TestArgs;
use crate::commands::run::from_environment;
use crate::config;
use crate::exit::Failure;
use crate::stderr;

/// A configuration with builtins only: a case has to mock all other components.
const BUILTINS: &str = "{plugins: {builtin: {type: builtin}}, routes: {'/builtin/{*component}': [{plugin: builtin}]}}";

/// Whether a document is a conformance file.
pub fn is_conformance(tree: &Node) -> bool {
    let is_group = |node: &Node| node.get("rule").is_some() && node.get("cases").is_some();
    is_group(tree) || tree.elements().first().is_some_and(is_group)
}

/// Reads the cases of a conformance file.
pub fn read(file: &Path, source: &Source, tree: &Node, args: &TestArgs) -> Result<FileContent, Failure> {
    let mut decoder = Decoder::new();
    let groups = match &tree.content {
        Content::Array(_) => decoder.each(tree, |decoder, node| group(decoder, node, source)).unwrap_or_default(),
        _ => group(&mut decoder, tree, source).into_iter().collect(),
    };
    let wrong = decoder.finish();
    if wrong.num_fatal() + wrong.num_error() > 0 {
        return Ok(FileContent::Broken(wrong.render(source, stderr::color())));
    }
    let config = match args.components.config {
        Some(_) => config::find(&args.components, Some(file))?,
        None => config::read(Source::yaml("builtins", BUILTINS), absolute(file.parent().unwrap_or(Path::new("")))?)?,
    };
    config.refuse_what_is_not_built()?;
    Ok(FileContent::Suite(Box::new(Suite {
        file: file.to_owned(),
        config,
        cases: groups.into_iter().flatten().collect(),
    })))
}

fn group(decoder: &mut Decoder, node: &Node, source: &Source) -> Option<Vec<Case>> {
    let mut fields = decoder.fields(node)?;
    let rule = fields.required(decoder, "rule", Decoder::string)?;
    let subject = case_document::document(decoder, &mut fields, &rule).map(|loaded| Subject::of(&loaded));
    let cases = fields.required(decoder, "cases", |decoder, node| {
        decoder.each(node, |decoder, node| case(decoder, node, &rule, subject.as_ref(), source))
    });
    fields.close(decoder);
    cases
}

fn case(
    decoder: &mut Decoder,
    node: &Node,
    rule: &str,
    shared: Option<&Arc<Subject>>,
    source: &Source,
) -> Option<Case> {
    let mut fields = decoder.fields(node)?;
    let name = fields.required(decoder, "name", Decoder::string)?;
    let own = case_document::document(decoder, &mut fields, rule).map(|loaded| Subject::of(&loaded));
    let Some(subject) = own.or_else(|| shared.cloned()) else {
        decoder.report(Code::MissingKey, node.span, "this case, or the group around it, needs a `flow` or a `text`");
        return None;
    };
    let input = fields.get_or_null("input").map(Node::to_value);
    let inputs =
        fields.optional(decoder, "inputs", |decoder, node| decoder.each(node, |_, input| Some(input.to_value())));
    let variables = fields.optional(decoder, "variables", Decoder::object);
    let env = fields.optional(decoder, "env", Decoder::object);
    let cancel = fields.optional(decoder, "cancel", Decoder::string);
    let overrides = fields.optional(decoder, "overrides", |_, node| Some(overrides(node)));
    let max_concurrency = fields.optional(decoder, "maxConcurrency", Decoder::unsigned);
    let (mocks, mocked) = mocks(decoder, node);
    fields.ignore("mocks");
    let expect = fields.required(decoder, "expect", Decoder::value)?;
    fields.close(decoder);
    let variables = match with_environment(&subject, variables, env.as_ref()) {
        Ok(variables) => variables,
        Err(problem) => {
            decoder.report(Code::InvalidSyntax, node.span, problem);
            return None;
        }
    };
    let batch = inputs.is_some();
    Some(Case {
        rule: Some(rule.to_owned()),
        name,
        line: line_of(source, node.span),
        variables,
        subject,
        inputs: inputs.unwrap_or_else(|| vec![input.unwrap_or_else(Value::null)]),
        overrides,
        max_concurrency,
        cancel,
        mocks,
        mocked,
        expected: expected(&expect, batch),
    })
}

/// The variables, with those that `run --env-variables` would take from the environment of the case.
fn with_environment(subject: &Subject, variables: Option<Value>, env: Option<&Value>) -> Result<Option<Value>, String> {
    let (Some(plan), Some(env)) = (&subject.plan, env) else { return Ok(variables) };
    let mut given = variables.map(|variables| variables.members()).unwrap_or_default();
    from_environment(&mut given, plan, |name| env.field(name)?.text())?;
    Ok(Some(Value::object(given)))
}

/// The overrides of a case: a text, whose lines are counted from its own beginning, or an object in the file.
fn overrides(node: &Node) -> Source {
    match node.as_str() {
        Some(text) => Source::yaml("overrides", text),
        None => Source::json("overrides", node.to_value().as_bytes()),
    }
}

fn expected(expect: &Value, batch: bool) -> Expected {
    let items = if batch && expect.field("outcome").is_none() { expect.elements() } else { vec![expect.clone()] };
    Expected::Exact { items, batch, diagnostics: expect.field("diagnostics") }
}
