//! Compares a configuration file with the shape that it should have, and reports every difference.

use stepflow_flow::node::{Content, Entry, Node};
use stepflow_flow::path::Segment;
use stepflow_flow::{Code, Diagnostic, Diagnostics, Path, Span, TimeSpan, suggest};
use stepflow_protocol::Kind;

use super::origins::Origins;
use super::shape::{Key, Object, Shape, Variant};
use super::{passwords, size};
use crate::access;
use crate::wording::{joined, name_list};

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong.
    pub mistakes: Diagnostics,
    /// Keys and types that this release does not support yet.
    pub not_built: Diagnostics,
}

/// Checks a whole file. Messages do not repeat values that come from the variables in `origins`.
pub fn check(tree: &Node, root: &'static Object, origins: &Origins) -> Findings {
    let mut checker = Checker { findings: Findings::default(), unbuilt: false, origins };
    if !tree.is_null() {
        checker.object(Site { node: tree, path: Path::root(), what: "the configuration".to_owned() }, root, &[]);
    }
    checker.findings
}

struct Checker<'o> {
    findings: Findings,
    origins: &'o Origins,
    /// Whether the check is inside something that is not built. That is reported once, and not again for its parts.
    unbuilt: bool,
}

/// A value with its path, and what messages call it.
struct Site<'n> {
    node: &'n Node,
    path: Path,
    what: String,
}

impl Site<'_> {
    fn is(&self, kind: Kind) -> bool {
        self.node.kind() == kind
    }
}

impl Checker<'_> {
    fn value(&mut self, place: Site<'_>, shape: Shape) {
        match shape {
            Shape::Any => {}
            Shape::List { noun, of } => self.list(&place, noun, *of),
            Shape::Map { noun, of } => self.map(&place, noun, *of),
            Shape::Object(object) => self.object(place, object, &[]),
            Shape::ByType(variants) => self.by_type(place, variants),
            Shape::Word(words) => self.word(&place, words),
            Shape::Either(shapes) => match shapes.iter().find(|shape| may_be(place.node, **shape)) {
                Some(shape) => self.value(place, *shape),
                None => self.wrong(&place, &either(shapes)),
            },
            Shape::Time => self.time(&place),
            scalar if fits(place.node, scalar) => {}
            scalar => self.wrong(&place, &expected(scalar)),
        }
    }

    fn time(&mut self, place: &Site<'_>) {
        let Err(error) = TimeSpan::from_value(place.node.to_value()) else { return };
        let origin = self.origins.describe(place.node.span);
        let problem = origin.map_or_else(|| error.to_string(), |origin| format!("the value {origin} is not a time"));
        let help = "write a time such as `500ms`, `30s`, `5m` or `1h30m`, or a number of seconds";
        self.mistake(Code::InvalidDuration, place, format!("{}: {problem}", place.what), Some(help.to_owned()));
    }

    fn list(&mut self, place: &Site<'_>, noun: &str, of: Shape) {
        let Content::Array(elements) = &place.node.content else {
            let wanted = if noun == "a rule" { "a list of rules, such as `[{plugin: python}]`" } else { "a list" };
            return self.wrong(place, wanted);
        };
        for (index, node) in elements.iter().enumerate() {
            let path = place.path.clone().index(index);
            self.value(Site { node, path, what: format!("{noun} of {}", place.what) }, of);
        }
    }

    fn map(&mut self, place: &Site<'_>, noun: &str, of: Shape) {
        for entry in self.entries(place) {
            let path = place.path.clone().field(&entry.key);
            self.value(Site { node: &entry.value, path, what: format!("{noun} `{}`", entry.key) }, of);
        }
    }

    /// `others` are members that have been checked already.
    fn object(&mut self, place: Site<'_>, object: &'static Object, others: &[&str]) {
        if !place.is(Kind::Object) {
            return self.wrong(&place, "an object");
        }
        for entry in self.entries(&place).into_iter().filter(|entry| !others.contains(&entry.key.as_str())) {
            match object.key(&entry.key) {
                Some(key) => self.member(&place, entry, key),
                None => self.unknown(&place, entry, object, others),
            }
        }
        for keys in object.required {
            if !keys.iter().any(|key| place.node.get(key).is_some_and(|node| !node.is_null())) {
                self.missing(&place, object, keys);
            }
        }
    }

    fn member(&mut self, place: &Site<'_>, entry: &Entry, key: &'static Key) {
        let inner =
            Site { node: &entry.value, path: place.path.clone().field(&entry.key), what: format!("`{}`", entry.key) };
        if key.built {
            return self.value(inner, key.shape);
        }
        self.not_built(&inner.path, entry.key_span, &format!("`{}`", entry.key));
        self.inside_unbuilt(|checker| checker.value(inner, key.shape));
    }

    fn by_type(&mut self, place: Site<'_>, variants: &'static [Variant]) {
        if !place.is(Kind::Object) {
            return self.wrong(&place, "an object with a `type`");
        }
        let names = || name_list(variants.iter().filter(|variant| variant.built).map(|variant| variant.name));
        let Some(kind) = place.node.get("type").filter(|kind| !kind.is_null()) else {
            return self.without_type(&place, variants, format!("the types are {}", names()));
        };
        let written = kind.as_str();
        let Some(variant) = variants.iter().find(|variant| written == Some(variant.name)) else {
            let origin = self.origins.describe(kind.span);
            let near = written
                .filter(|_| origin.is_none())
                .and_then(|text| suggest::nearest(text, variants.iter().map(|variant| variant.name)));
            let help =
                near.map_or_else(|| format!("the types are {}", names()), |near| format!("did you mean `{near}`?"));
            let text = kind.to_value();
            let message = match (origin, written) {
                (Some(origin), _) => format!("{} has an unknown type, {origin}", place.what),
                (None, Some(text)) => format!("{} has the unknown type `{text}`", place.what),
                (None, None) => format!("the `type` of {} must be a word, and is {text}", place.what),
            };
            let at = Site { node: kind, path: place.path.clone().field("type"), what: String::new() };
            return self.mistake(Code::InvalidType, &at, message, Some(help));
        };
        if variant.built {
            return self.object(place, &variant.object, &["type"]);
        }
        let what = format!("{} of the type `{}`", place.what, variant.name);
        self.not_built(&place.path.clone().field("type"), kind.span, &what);
        self.inside_unbuilt(|checker| checker.object(place, &variant.object, &["type"]));
    }

    /// Where `type` is misspelt, this is the mistake: the other keys cannot be checked without it.
    fn without_type(&mut self, place: &Site<'_>, variants: &'static [Variant], types: String) {
        let is_key = |name: &str| variants.iter().any(|variant| variant.object.key(name).is_some());
        let misspelt = self
            .entries(place)
            .into_iter()
            .find(|entry| !is_key(&entry.key) && suggest::nearest(&entry.key, ["type"]).is_some());
        let Some(entry) = misspelt else {
            return self.mistake(Code::MissingKey, place, format!("{} has no `type`", place.what), Some(types));
        };
        let message = format!("{} has the unknown key `{}`", place.what, entry.key);
        let help = Some("did you mean `type`?".to_owned());
        self.report(Code::MisspeltKey, &place.path.clone().field(&entry.key), entry.key_span, message, help);
    }

    fn word(&mut self, place: &Site<'_>, words: &'static [&'static str]) {
        let Some(written) = place.node.as_str() else { return self.wrong(place, "a word") };
        if words.contains(&written) {
            return;
        }
        let names = || words.iter().copied();
        let origin = self.origins.describe(place.node.span);
        let near = suggest::nearest(written, names()).filter(|_| origin.is_none());
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let found = origin.unwrap_or_else(|| format!("`{written}`"));
        let message = format!("{} must be one of {}, and is {found}", place.what, name_list(names()));
        self.mistake(Code::InvalidType, place, message, help);
    }

    fn inside_unbuilt(&mut self, check: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.unbuilt, true);
        check(self);
        self.unbuilt = outer;
    }

    /// The members of an object, without those that are `null`.
    fn entries<'n>(&mut self, place: &Site<'n>) -> Vec<&'n Entry> {
        match &place.node.content {
            Content::Object(entries) => entries.iter().filter(|entry| !entry.value.is_null()).collect(),
            _ => {
                self.wrong(place, "an object");
                Vec::new()
            }
        }
    }

    fn unknown(&mut self, place: &Site<'_>, entry: &Entry, object: &Object, others: &[&str]) {
        let names = || object.keys.iter().map(|key| key.name).chain(others.iter().copied());
        let help = match suggest::nearest(&entry.key, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the keys are {}", name_list(names())),
        };
        let message = format!("{} has the unknown key `{}`", place.what, entry.key);
        let path = place.path.clone().field(&entry.key);
        self.report(Code::MisspeltKey, &path, entry.key_span, message, Some(help));
    }

    fn missing(&mut self, place: &Site<'_>, object: &Object, keys: &[&str]) {
        let names = joined(keys.iter().map(|key| format!("`{key}`")), " and no ");
        let about = keys.first().and_then(|key| object.key(key)).map(|key| format!("`{}`: {}", key.name, key.about));
        let message = format!("{} has no {names}", place.what);
        self.mistake(Code::MissingKey, place, message, about);
    }

    fn wrong(&mut self, place: &Site<'_>, expected: &str) {
        let found = match (self.origins.describe(place.node.span), place.node.kind()) {
            (Some(origin), Kind::String | Kind::Number | Kind::Bool) => origin,
            (None, Kind::String | Kind::Number | Kind::Bool) if !is_token(&place.path) => {
                String::from_utf8_lossy(&passwords::hidden(place.node.to_value().as_bytes())).into_owned()
            }
            (_, kind) => kind.with_article().to_owned(),
        };
        let message = format!("{} must be {expected}, and is {found}", place.what);
        self.mistake(Code::InvalidType, place, message, None);
    }

    fn not_built(&mut self, path: &Path, span: Span, what: &str) {
        if !self.unbuilt {
            let diagnostic = Diagnostic::new(Code::NotBuilt, path, format!("{what} is not built yet"));
            self.findings.not_built.push(diagnostic.at(Some(span)));
        }
    }

    fn mistake(&mut self, code: Code, place: &Site<'_>, message: String, help: Option<String>) {
        self.report(code, &place.path, place.node.span, message, help);
    }

    fn report(&mut self, code: Code, path: &Path, span: Span, message: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::new(code, path, message).at(Some(span));
        diagnostic.help = help;
        self.findings.mistakes.push(diagnostic);
    }
}

fn is_token(path: &Path) -> bool {
    matches!(path.segments().last(), Some(Segment::Field(key)) if passwords::is_token(key))
}

/// Whether a value has the JSON type of a shape. What is inside the value is not checked.
fn may_be(node: &Node, shape: Shape) -> bool {
    match shape {
        Shape::List { .. } => node.kind() == Kind::Array,
        Shape::ByType(_) => node.kind() == Kind::Object && node.get("type").is_some(),
        Shape::Object(_) | Shape::Map { .. } => node.kind() == Kind::Object,
        scalar => fits(node, scalar),
    }
}

/// Whether a value fits a shape that has no parts.
pub fn fits(node: &Node, shape: Shape) -> bool {
    match (&node.content, shape) {
        (Content::String(text), Shape::Host) => access::host(text).is_some(),
        (Content::String(text), Shape::Origin) => access::origin(text).is_some(),
        (Content::String(text), Shape::Path) => Path::parse(text).is_ok(),
        (Content::String(text), Shape::Size) => size::parse(text).is_some(),
        (Content::Number(digits), Shape::Size) => digits.parse::<u64>().is_ok(),
        (Content::Number(digits), Shape::Whole { least, most }) => {
            digits.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number))
        }
        (_, Shape::Time) => TimeSpan::from_value(node.to_value()).is_ok(),
        (_, Shape::Either(shapes)) => shapes.iter().any(|shape| fits(node, *shape)),
        (Content::Number(digits), Shape::Factor) => digits.parse::<f64>().is_ok_and(|number| number >= 1.0),
        (Content::String(_), Shape::Text | Shape::Scalar) | (Content::Bool(_), Shape::Flag) => true,
        (Content::Number(_) | Content::Bool(_), Shape::Scalar) => true,
        _ => false,
    }
}

fn expected(shape: Shape) -> String {
    match shape {
        Shape::Text => "a string".to_owned(),
        Shape::Scalar => "a string, a number or a boolean".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Whole { least, most } => format!("a whole number from {least} to {most}"),
        Shape::Factor => "a number of at least 1".to_owned(),
        Shape::Size => "a number of bytes such as `1MiB`".to_owned(),
        Shape::Host => "a host name without a port, or an IP address such as `127.0.0.1`".to_owned(),
        Shape::Origin => "an origin such as `https://app.example.com`, without a path".to_owned(),
        Shape::Path => "a path such as `$.model`".to_owned(),
        Shape::List { .. } => "a list".to_owned(),
        Shape::ByType(_) => "an object with a `type`".to_owned(),
        Shape::Object(_) | Shape::Map { .. } => "an object".to_owned(),
        Shape::Word(_) => "a word".to_owned(),
        Shape::Time => "a time such as `30s`".to_owned(),
        Shape::Any => "anything".to_owned(),
        Shape::Either(shapes) => either(shapes),
    }
}

fn either(shapes: &[Shape]) -> String {
    joined(shapes.iter().map(|shape| expected(*shape)), " or ")
}
