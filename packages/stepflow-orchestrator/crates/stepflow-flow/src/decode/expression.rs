//! Reads expressions from a document's tree.

use super::{lookalike, old};
use crate::decoder::{Decoder, Fields};
use crate::diagnostics::Code;
use crate::expression::Expression;
use crate::node::{Content, Node};
use crate::path::{Path, Segment};

/// The expression that a value stands for; `null` after a mistake, which is reported.
pub(super) fn expression(decoder: &mut Decoder, node: &Node) -> Expression {
    parse(decoder, node).unwrap_or_else(|| Expression::Literal(node.to_value()))
}

/// The expression that a value stands for; `None` for a constant. Therefore neighbouring constants become one, as
/// large as possible, and each is made into a value only once.
fn parse(decoder: &mut Decoder, node: &Node) -> Option<Expression> {
    match &node.content {
        Content::Null | Content::Bool(_) | Content::Number(_) => None,
        Content::String(_) => {
            lookalike::report_text(decoder, node);
            None
        }
        Content::Array(_) => {
            let parsed = decoder.each(node, |decoder, element| Some(parse(decoder, element)))?;
            mixed(parsed, node.elements().iter()).map(Expression::Array)
        }
        Content::Object(entries) => match reserved(node) {
            Some(read) => Some(read_reserved(decoder, node, read)),
            None => {
                lookalike::report_keys(decoder, entries);
                let parsed = decoder.each_member(node, |decoder, entry| Some(parse(decoder, &entry.value)))?;
                let parsed = parsed.into_iter().map(|(_, parsed)| parsed).collect();
                let members = mixed(parsed, entries.iter().map(|entry| &entry.value))?;
                Some(Expression::Object(entries.iter().map(|entry| entry.key.clone()).zip(members).collect()))
            }
        },
    }
}

/// All members as expressions, if at least one is more than a constant.
fn mixed<'n>(parsed: Vec<Option<Expression>>, nodes: impl Iterator<Item = &'n Node>) -> Option<Vec<Expression>> {
    parsed.iter().any(Option::is_some).then(|| {
        let or_literal = |(parsed, node): (Option<Expression>, &Node)| {
            parsed.unwrap_or_else(|| Expression::Literal(node.to_value()))
        };
        parsed.into_iter().zip(nodes).map(or_literal).collect()
    })
}

type Read = fn(&mut Decoder, &mut Fields<'_>) -> Option<Expression>;

/// The keys that make an object an expression. If there are several, the first in this list decides.
const RESERVED: [(&str, Read); 7] = [
    ("$literal", literal),
    ("$if", choice),
    ("$coalesce", coalesce),
    ("$from", from),
    ("$step", step),
    ("$input", input),
    ("$variable", variable),
];

/// Whether an object is an expression rather than a constant or a map of expressions.
pub(crate) fn is_expression(node: &Node) -> bool {
    reserved(node).is_some()
}

fn reserved(node: &Node) -> Option<Read> {
    RESERVED.iter().find(|(key, _)| node.get(key).is_some()).map(|(_, read)| *read)
}

fn read_reserved(decoder: &mut Decoder, node: &Node, read: Read) -> Expression {
    let Some(mut fields) = decoder.fields(node) else { return Expression::null() };
    let expression = read(decoder, &mut fields);
    fields.close(decoder);
    expression.unwrap_or_default()
}

fn literal(_: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    fields.get_or_null("$literal").map(|value| Expression::Escaped(value.to_value()))
}

fn choice(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    let condition = member(decoder, fields, "$if", "condition")?;
    let then = member(decoder, fields, "then", "then");
    let otherwise = member(decoder, fields, "else", "else");
    if then.is_none() {
        let span = fields.node().entry("$if").map_or(fields.node().span, |entry| entry.key_span);
        decoder.report(Code::InvalidExpression, span, "`$if` needs a `then`");
    }
    Some(Expression::If { condition: Box::new(condition), then: Box::new(then?), otherwise: otherwise.map(Box::new) })
}

/// A member that is an expression; `null` is an expression.
fn member(decoder: &mut Decoder, fields: &mut Fields<'_>, key: &'static str, shown: &str) -> Option<Expression> {
    let node = fields.get_or_null(key)?;
    Some(decoder.inside(shown, |decoder| expression(decoder, node)))
}

fn coalesce(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    let node = fields.get_or_null("$coalesce")?;
    if !matches!(node.content, Content::Array(_)) {
        decoder
            .report(Code::InvalidExpression, node.span, "`$coalesce` takes an array of expressions")
            .help("write `$coalesce: [first, second]`");
        return None;
    }
    decoder.each(node, |decoder, item| Some(expression(decoder, item))).map(Expression::Coalesce)
}

fn from(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    old::report_from(decoder, fields.node());
    for key in ["$from", "path", "onSkip", "transform"] {
        fields.ignore_old(key);
    }
    None
}

fn step(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    old::report_reference_keys(decoder, fields);
    let node = fields.get_or_null("$step")?;
    let path = match fields.get("path") {
        Some(node) => path(decoder, node, "path")?,
        None => Path::root(),
    };
    let Some(step) = node.as_str() else {
        decoder.report(Code::InvalidExpression, node.span, "`$step` takes the id of a step, a string");
        return None;
    };
    Some(Expression::Step { step: step.to_owned(), path })
}

fn input(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    old::report_reference_keys(decoder, fields);
    let node = fields.get_or_null("$input")?;
    path(decoder, node, "$input").map(Expression::Input)
}

fn variable(decoder: &mut Decoder, fields: &mut Fields<'_>) -> Option<Expression> {
    old::report_reference_keys(decoder, fields);
    let node = fields.get_or_null("$variable")?;
    let default = member(decoder, fields, "default", "default").map(Box::new);
    let path = path(decoder, node, "$variable")?;
    match path.segments() {
        [Segment::Field(name), rest @ ..] => {
            Some(Expression::Variable { name: name.clone(), path: rest.to_vec().into(), default })
        }
        _ => {
            decoder
                .report(Code::InvalidExpression, node.span, "`$variable` begins with the name of a variable")
                .help("write `{$variable: name}`, or `{$variable: $.name.member}` for a part of it");
            None
        }
    }
}

const PATHS: &str = "a path looks like `$.name`, `$[\"any name\"]` or `$.list[0]`";

/// A path, written as a string; `null` is the whole value.
fn path(decoder: &mut Decoder, node: &Node, key: &str) -> Option<Path> {
    if node.is_null() {
        return Some(Path::root());
    }
    let Some(text) = node.as_str() else {
        decoder.report(Code::InvalidExpression, node.span, format!("`{key}` takes a path, a string")).help(PATHS);
        return None;
    };
    match Path::parse(text) {
        Ok(path) => {
            lookalike::report_path(decoder, node, text, key);
            Some(path)
        }
        Err(error) => {
            let message = format!("`{text}` is not a path: {error}");
            decoder.report(Code::InvalidExpression, node.span, message).help(PATHS);
            None
        }
    }
}
