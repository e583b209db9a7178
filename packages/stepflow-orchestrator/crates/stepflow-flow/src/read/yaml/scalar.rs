//! The value of a YAML scalar by the core schema (`on`, `yes` and `no` are strings), and helpful texts for the parser's
//! errors.

use std::borrow::Cow;

use granit_parser::{ErrorKind, ScalarStyle, Tag};

use super::Reporter;
use crate::diagnostics::Code;
use crate::node::Content;
use crate::number;
use crate::path::Path;
use crate::read::HALF_A_PAIR;
use crate::source::Span;

/// The value of a scalar. `written` is its text in the document; it is empty where YAML has an implicit null.
pub(super) fn resolve(
    text: Cow<'_, str>,
    style: ScalarStyle,
    tag: Option<&Tag>,
    written: &str,
    span: Span,
    path: &dyn Fn() -> Path,
    report: &mut Reporter<'_>,
) -> Content {
    let tag = match tag {
        None if style == ScalarStyle::Plain => None,
        None => return Content::String(text.into_owned()),
        Some(tag) if is_non_specific(tag) => return Content::String(text.into_owned()),
        Some(tag) => match tag.core_suffix() {
            Some("str") => return Content::String(text.into_owned()),
            Some(kind @ ("int" | "float" | "bool" | "null")) => Some(kind.to_owned()),
            _ => {
                unknown_tag(tag, span, &path(), report);
                return Content::String(text.into_owned());
            }
        },
    };
    let content = if written.is_empty() { Some(Content::Null) } else { plain(&text, span, path, report) };
    let fits = match (tag.as_deref(), &content) {
        (Some("int"), Some(Content::Number(digits))) => {
            digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
        }
        (Some("float"), Some(Content::Number(_)))
        | (Some("bool"), Some(Content::Bool(_)))
        | (Some("null"), Some(Content::Null))
        | (None, _) => true,
        _ => false,
    };
    if !fits {
        let message = format!("`{text}` is not a `!!{}`", tag.unwrap_or_default());
        report.report(Code::InvalidType, &path(), span, message);
    }
    content.unwrap_or_else(|| Content::String(text.into_owned()))
}

/// A plain scalar that is not a string.
fn plain(text: &str, span: Span, path: &dyn Fn() -> Path, report: &mut Reporter<'_>) -> Option<Content> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Content::Null),
        "true" | "True" | "TRUE" => return Some(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Content::Bool(false)),
        _ => {}
    }
    if let Some(number) = number::of_yaml(text) {
        return Some(Content::Number(number.unwrap_or_else(|number::TooLarge| {
            report.too_large(&path(), span, text);
            "0".to_owned()
        })));
    }
    if is_not_finite(text) {
        let message = format!("`{text}` has no JSON form");
        report.report_help(Code::InvalidType, &path(), span, message, "quote it if a string is meant");
        return Some(Content::Null);
    }
    None
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Reports a tag on a collection that is not the collection's own tag.
pub(super) fn check_collection_tag(tag: Option<&Tag>, own: &str, span: Span, report: &mut Reporter<'_>) {
    if let Some(tag) = tag.filter(|tag| !is_non_specific(tag) && tag.core_suffix() != Some(own)) {
        unknown_tag(tag, span, &Path::root(), report);
    }
}

/// The lone `!`, which only means "do not guess the type".
fn is_non_specific(tag: &Tag) -> bool {
    tag.original() == "!" || (tag.handle().is_empty() && tag.suffix() == "!")
}

fn unknown_tag(tag: &Tag, span: Span, path: &Path, report: &mut Reporter<'_>) {
    let message = format!("the tag `{}` means nothing here", tag.original());
    let help = "documents hold JSON values: null, booleans, numbers, strings, arrays and objects";
    report.report_help(Code::InvalidSyntax, path, span, message, help);
}

/// The parser's error in a sentence, and advice for the frequent ones.
pub(super) fn explain(kind: &ErrorKind, text: &str, at: usize) -> (String, Option<&'static str>) {
    let advice = match kind {
        ErrorKind::MappingValueNotAllowed => {
            Some("quote a value that contains `: `, or check that the lines of this object are indented alike")
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry => {
            Some("check the indentation: all members of an object begin in the same column")
        }
        ErrorKind::UnexpectedCharacter { .. } if text[at..].starts_with(['`', '@', '%']) => {
            Some("quote a value that begins with this character")
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => Some("a key needs `: ` after it"),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            Some("between braces or brackets, quote a value that contains `[`, `]`, `{`, `}` or `,`")
        }
        ErrorKind::UnclosedQuotedScalar => Some("the quote that opens here is never closed"),
        ErrorKind::UnknownQuotedScalarEscape => {
            Some("in double quotes, write a backslash as `\\\\`, or use single quotes")
        }
        _ => None,
    };
    match kind {
        ErrorKind::MissingLowSurrogate | ErrorKind::InvalidLowSurrogate | ErrorKind::UnpairedLowSurrogate => {
            (HALF_A_PAIR.to_owned(), None)
        }
        _ => (format!("not YAML: {kind}"), advice),
    }
}
